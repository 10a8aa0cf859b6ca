// Which nodes have an editor, and how it lives with its node.
import { Editor } from './editor.js'
import { addElement, adopt, chain, isLinked, leave, show, widgetOf } from './host.js'
import { KeyframeEditor } from './keyframe_editor.js'
import { least } from './node_editor.js'

export const WIDGET = 'mimaface_editor' // the name of the added widget, and of what a run leaves for it
const SIDES = 20 // pixels of a node beside its editor

/** Gives a new node its editor, if it has one. */
export function addEditor(node) {
  if (node.comfyClass === 'MIMAFaceEditMotion') edit(node)
  if (node.comfyClass === 'MIMAFaceKeyframeMotion') keyframes(node)
}

function edit(node) {
  const value = widgetOf(node, 'edit')
  if (!value) return // of a server whose node has no editor yet
  // The node's own sliders, older than the editor, are at rest in a new node; a saved one may bring others.
  const own = node.widgets.filter((widget) => widget !== value).map((widget) => ({ widget, rest: widget.value }))
  let ran = {} // positions of linked sliders at the last run
  const position = ({ widget, rest }) => (isLinked(node, widget.name) ? ran[widget.name] ?? rest : widget.value)
  const moved = () => own.filter((one) => position(one) !== one.rest)
  const editor = new Editor(node, value, () => new Map(moved().map((one) => [one.widget.name, position(one)])))
  const tidy = () => {
    for (const { widget, rest } of own) show(widget, widget.value !== rest || isLinked(node, widget.name))
  }
  for (const { widget } of own) chain(widget, 'callback', () => editor.read())
  chain(node, 'onExecuted', (result) => {
    ran = result?.[WIDGET]?.[0]?.sliders ?? {}
    editor.read()
  })
  live(node, value, editor, tidy, [800, 664])
}

function keyframes(node) {
  const value = widgetOf(node, 'keyframes')
  if (!value) return
  const editor = new KeyframeEditor(node, value)
  chain(node, 'onExecuted', (result) => editor.took(result?.[WIDGET]?.[0] ?? {}))
  live(node, value, editor, () => {}, [920, 660])
}

/** Puts an editor on its node, in place of the widget with its value, for as long as the node lives. */
function live(node, value, editor, tidy, size) {
  const again = () => {
    show(value, isLinked(node, value.name))
    tidy()
    editor.read()
  }
  again()
  addElement(node, WIDGET, 'MIMAFACE_EDITOR', editor.element, {
    getMinHeight: () => least(node.size[0] - SIDES),
    onDraw: () => editor.read()
  })
  node.setSize?.(size)
  chain(value, 'callback', () => editor.read())
  chain(node, 'onConfigure', () => {
    again()
    editor.sourceIs(editor.remembered())
    adopt(node, editor.element)
  })
  chain(node, 'onConnectionsChange', again)
  chain(node, 'onExecuted', (result) => editor.sourceIs(result?.[WIDGET]?.[0]?.source))
  chain(node, 'onRemoved', () => {
    leave(node, editor.element)
    editor.close()
  })
}
