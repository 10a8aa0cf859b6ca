// Which nodes have an editor, and how it lives with its node.
import { Editor } from './editor.js'
import { addElement, adopt, chain, isLinked, leave, show, widgetOf } from './host.js'

const WIDGET = 'mimaface_editor' // the name of the added widget, and of what a run leaves for it
const NEW_SIZE = [800, 664]
const NARROW = 580 // width of a node below which the sliders stand under the picture, see editor.css

/** Gives a new node its editor, if it has one. */
export function addEditor(node) {
  if (node.comfyClass === 'MIMAFaceEditMotion') edit(node)
}

function edit(node) {
  const value = widgetOf(node, 'edit')
  if (!value) return // of a server whose node has no editor yet
  // The node's own sliders, older than the editor, are at rest in a new node; a saved one may bring others.
  const own = node.widgets.filter((widget) => widget !== value).map((widget) => ({ widget, rest: widget.value }))
  const moved = () => own.filter(({ widget, rest }) => widget.value !== rest)
  const editor = new Editor(node, value, () => new Map(moved().map(({ widget }) => [widget.name, widget.value])))
  const tidy = () => {
    show(value, false)
    for (const { widget, rest } of own) show(widget, widget.value !== rest || isLinked(node, widget.name))
    editor.read()
  }
  tidy()
  const least = () => (node.size[0] < NARROW ? node.size[0] + 360 : 480)
  addElement(node, WIDGET, 'MIMAFACE_EDITOR', editor.element, { getMinHeight: least, onDraw: () => editor.read() })
  node.setSize?.([...NEW_SIZE])
  for (const { widget } of [{ widget: value }, ...own]) chain(widget, 'callback', () => editor.read())
  chain(node, 'onConfigure', () => {
    tidy()
    editor.sourceIs(editor.remembered())
    adopt(node, editor.element)
  })
  chain(node, 'onConnectionsChange', tidy)
  chain(node, 'onExecuted', (result) => editor.sourceIs(result?.[WIDGET]?.[0]?.source))
  chain(node, 'onRemoved', () => {
    leave(node, editor.element)
    editor.close()
  })
}
