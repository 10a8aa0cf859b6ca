// The editor's words, in the languages of this extension.
import { language } from './host.js'

const en = {
  group_names: {},
  preset_names: {},
  groups: 'Groups of controls',
  reset_group: (label) => `Reset ${label}`,
  right: "the person's right",
  left: "the person's left",
  right_long: "The person's right side, the image's left",
  left_long: "The person's left side, the image's right",
  right_short: 'R',
  left_short: 'L',
  undo: 'Undo (Ctrl+Z)',
  redo: 'Redo (Ctrl+Y)',
  both: 'Move both sides together (Alt while dragging: the other way)',
  neutral: "Neutral first: take the photograph's own expression away",
  compare: 'Hold to see the photograph itself',
  reset: 'Reset everything',
  presets: 'Presets',
  keep_preset: 'Keep this expression as a preset',
  preset_name: 'Name of the preset',
  remove_preset: (label) => `Remove ${label}`,
  preset: (label) => `${label}: lay this expression over the edit (Alt: instead of it)`,
  empty_title: 'No face yet',
  empty: 'Connect a source and run the workflow once. The face then follows your pointer here.',
  gone_title: 'The face has gone',
  gone: 'The server no longer holds this face: queue the workflow again. Your edit is kept.',
  away_title: 'The server does not answer',
  away: 'Your edit is kept. The preview comes back with the server.',
  refused_title: 'No preview',
  fault: (what) => `The value of this node cannot be shown: ${what}. It is left as it is until you reset everything.`,
  retry: 'Try again',
  stage: 'Face. Drag to turn the head; arrow keys turn it too.',
  handle: (label) => `${label}: drag, or arrow keys; 0 resets`,
  hint: 'Drag the face or a point · Shift fine · Alt one side · double-click resets',
  handles: {
    head: 'Head',
    right_iris: 'Right eye looks',
    left_iris: 'Left eye looks',
    right_upper_lid: 'Right lid',
    left_upper_lid: 'Left lid',
    right_brow: 'Right brow',
    left_brow: 'Left brow',
    mouth_right: 'Right corner of the mouth',
    mouth_left: 'Left corner of the mouth',
    jaw: 'Jaw',
    lips: 'Lips'
  }
}

const zh = {
  group_names: {
    head: '头部',
    eyes: '眼睛',
    lids: '眼睑',
    brows: '眉毛',
    mouth: '嘴',
    jaw_cheeks_nose: '下颌、脸颊、鼻',
    combined: '组合'
  },
  preset_names: {
    photograph: '照片',
    neutral: '中性',
    smile: '微笑',
    laugh: '大笑',
    surprise: '惊讶',
    sad: '悲伤',
    angry: '愤怒',
    disgust: '厌恶',
    doubt: '怀疑',
    kiss: '亲吻',
    wink: '眨眼',
    asleep: '睡着'
  },
  groups: '控制分组',
  reset_group: (label) => `重置 ${label}`,
  right: '人物右侧',
  left: '人物左侧',
  right_long: '人物的右侧，即图像左边',
  left_long: '人物的左侧，即图像右边',
  right_short: '右',
  left_short: '左',
  undo: '撤销（Ctrl+Z）',
  redo: '重做（Ctrl+Y）',
  both: '两侧一起移动（拖动时按 Alt 则相反）',
  neutral: '先归于中性：去掉照片自身的表情',
  compare: '按住查看照片本身',
  reset: '全部重置',
  presets: '预设',
  keep_preset: '将此表情存为预设',
  preset_name: '预设名称',
  remove_preset: (label) => `删除 ${label}`,
  preset: (label) => `${label}：叠加到当前编辑（按 Alt 则替换）`,
  empty_title: '还没有人脸',
  empty: '连接一个源并运行一次工作流，之后人脸会在这里跟随指针。',
  gone_title: '人脸已不在',
  gone: '服务器已不再保存这张人脸：请重新运行工作流。您的编辑已保留。',
  away_title: '服务器没有响应',
  away: '您的编辑已保留。服务器恢复后预览会重新出现。',
  refused_title: '没有预览',
  fault: (what) => `无法显示此节点的值：${what}。在您全部重置之前保持原样。`,
  retry: '重试',
  stage: '人脸。拖动可转动头部，方向键也可以。',
  handle: (label) => `${label}：拖动或用方向键；按 0 重置`,
  hint: '拖动人脸或控制点 · Shift 微调 · Alt 单侧 · 双击重置',
  handles: {
    head: '头部',
    right_iris: '右眼视线',
    left_iris: '左眼视线',
    right_upper_lid: '右眼睑',
    left_upper_lid: '左眼睑',
    right_brow: '右眉',
    left_brow: '左眉',
    mouth_right: '右嘴角',
    mouth_left: '左嘴角',
    jaw: '下颌',
    lips: '嘴唇'
  }
}

/** The text of a key in the page's language. */
export function say(key, ...given) {
  const text = (language().startsWith('zh') ? zh : en)[key]
  return typeof text === 'function' ? text(...given) : text
}

/** What the server calls `label`, in the page's language where this file has it. */
export const named = (kind, name, label) => say(kind)[name] ?? label
