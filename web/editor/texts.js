// The editor's words in English, and the choice of the page's language.
import { language } from './host.js'
import { zh } from './texts_zh.js'

export const en = {
  playhead: 'Playhead',
  moment: (seconds, frame) => `${seconds} s · frame ${frame}`,
  play: 'Play or pause (space)',
  previous: 'To the key before',
  next: 'To the next key',
  length: 'Seconds',
  fps: 'fps',
  loop: 'Loop',
  loops: { none: 'Once', repeat: 'Repeat', ping_pong: 'There and back' },
  easing: 'Easing of the way to the next key',
  easings: { smooth: 'Smooth', linear: 'Linear', ease_in: 'Ease in', ease_out: 'Ease out', hold: 'Hold' },
  time: 'Time',
  position: 'Position',
  exact: (label) => `${label}, exact value`,
  add_curve: 'Add a control …',
  no_curves: 'No keys yet. Drag the face to set keys at the playhead, or add a control below.',
  remove_curve: (label) => `Remove all keys of ${label}`,
  remove_key: 'Remove this key',
  key: (label, time, value, easing) => `${label}: key at ${time} s, ${value}, ${easing}`,
  linked: 'The keys come over a link; take it away to edit them here.',
  keyframe_hint: 'Dragging the face sets keys at the playhead',
  group_names: {},
  control_names: {},
  control_tips: {},
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

/** The text of a key in the page's language. */
export function say(key, ...given) {
  const text = (language().startsWith('zh') ? zh : en)[key]
  return typeof text === 'function' ? text(...given) : text
}

/** What the server calls `label`, in the page's language where this file has it. */
export const named = (kind, name, label) => say(kind)[name] ?? label
