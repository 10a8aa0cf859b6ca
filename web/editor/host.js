// All contact with ComfyUI's page: app, server, graph, undo, storage.
import { api } from '../../../scripts/api.js'
import { app } from '../../../scripts/app.js'

/** Registers an extension of the page. */
export const register = (extension) => app.registerExtension(extension)

/** The answer of a route of this extension; `given` is sent as JSON. */
export function ask(route, given, signal) {
  const sent = given && { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(given) }
  return api.fetchApi(`/mimaface/${route}`, { ...sent, signal })
}

/** Calls `heard` when the page has found its server again; gives a function that stops it. */
export function onReconnected(heard) {
  api.addEventListener('reconnected', heard)
  return () => api.removeEventListener('reconnected', heard)
}

/**
 * Has nodes told also what they show when a run takes them from the server's cache: of a node that is no output the
 * server tells it in its history alone. `kind` is the name of what is shown.
 */
export function tellCached(kind) {
  let cached = null
  api.addEventListener('execution_cached', ({ detail }) => (cached = detail))
  api.addEventListener('executing', async ({ detail }) => {
    if (detail || !cached) return
    const { prompt_id: prompt, nodes } = cached
    cached = null
    const answer = await api.fetchApi(`/history/${prompt}`)
    const outputs = answer.ok ? (await answer.json())[prompt]?.outputs : {}
    for (const node of nodes) {
      const output = outputs?.[node]
      if (output?.[kind]) api.dispatchCustomEvent('executed', { node, display_node: node, output, prompt_id: prompt })
    }
  })
}

/** Calls `heard` with the id of the page's graph when that has been cleared. */
export const onCleared = (heard) => api.addEventListener('graphCleared', () => heard(app.graph?.id ?? ''))

/** The style sheet of a name beside this file, once in the page. */
export function style(name) {
  const href = new URL(name, import.meta.url).href
  if (document.querySelector(`link[href="${href}"]`)) return
  document.head.append(Object.assign(document.createElement('link'), { rel: 'stylesheet', href }))
}

/** What tells a node from all others, also after an undo has built it anew. */
export const nodeKey = (node) => `${app.graph?.id ?? ''}/${node.graph?.id ?? ''}/${node.id}`

/** Calls `heard(before)` in place of a method of the node, with the method as it was. */
export function chain(node, method, heard) {
  const before = node[method]
  node[method] = function (...given) {
    const result = before?.apply(this, given)
    heard.apply(this, given)
    return result
  }
}

/** The schema's widget of a name. */
export const widgetOf = (node, name) => node.widgets?.find((widget) => widget.name === name)

/** Whether a widget's value comes over a link. */
export const isLinked = (node, name) =>
  Boolean(node.inputs?.some((slot, index) => slot.widget?.name === name && node.isInputConnected(index)))

const sizes = new WeakMap() // of hidden widgets: their own `computeSize`

/** Shows a schema's widget or not, in both renderers. */
export function show(widget, shown) {
  widget.hidden = !shown
  widget.options = Object.assign(widget.options ?? {}, { hidden: !shown })
  if (shown && sizes.has(widget)) {
    widget.computeSize = sizes.get(widget)
    sizes.delete(widget)
  } else if (!shown && !sizes.has(widget)) {
    sizes.set(widget, widget.computeSize)
    widget.computeSize = () => [0, -4] // front ends of 2025 leave room for hidden widgets, and 4 pixels for each
  }
}

/** Adds the element as a widget that keeps no value of its own. */
export function addElement(node, name, type, element, options) {
  const widget = node.addDOMWidget(name, type, element, {
    serialize: false,
    hideOnZoom: false,
    hideInPanel: true,
    selectOn: [],
    ...options
  })
  widget.serialize = false
  return widget
}

const places = new Map() // where the elements of removed nodes were, by the node's id

/** Takes an element out of the page, and keeps its place for a node of the same id that is built anew. */
export function leave(node, element) {
  for (const [id, place] of places) if (!place.isConnected) places.delete(id)
  if (element.parentElement) places.set(String(node.id), element.parentElement)
  element.remove()
}

/** Puts an element where its node's former one was: Vue keeps the place of a node of the same id, and leaves it empty. */
export function adopt(node, element) {
  setTimeout(() => {
    const place = places.get(String(node.id))
    const shown = app.canvas.graph === node.graph && node.graph.getNodeById(node.id) === node
    if (shown && place?.isConnected && !element.isConnected) place.replaceChildren(element)
  }, 100)
}

/** Writes a widget's value as one step of the page's undo. */
export function write(node, widget, value) {
  if (widget.value === value) return
  app.canvas?.emitBeforeChange?.()
  node.graph?.beforeChange?.()
  widget.value = value
  widget.callback?.(value, app.canvas, node)
  node.graph?.afterChange?.()
  app.canvas?.emitAfterChange?.()
  const tracker = app.extensionManager?.workflow?.activeWorkflow?.changeTracker
  if (tracker?.captureCanvasState) tracker.captureCanvasState()
  else tracker?.checkState?.()
  redraw(node)
}

/** Has the classic canvas draw anew. */
export const redraw = (node) => node.graph?.setDirtyCanvas?.(true, true)

/** Undoes or redoes a step of the page. */
export const step = (name) => app.extensionManager.command.execute(name === 'redo' ? 'Comfy.Redo' : 'Comfy.Undo')

/** Whether the node is selected. */
export const isSelected = (node) => Boolean(app.canvas?.selected_nodes?.[node.id] ?? node.selected)

/** Selects the node and puts it before the others. */
export function select(node) {
  if (isSelected(node)) return
  app.canvas.selectNode(node)
  app.canvas.bringToFront(node)
}

/** Hands a wheel event on to the canvas, which zooms or pans. */
export function wheelToCanvas(event) {
  event.preventDefault()
  event.stopPropagation()
  app.canvas?.canvas?.dispatchEvent(new WheelEvent('wheel', event))
}

/** The language of the page, as `en` or `zh`. */
export const language = () => app.extensionManager?.setting?.get?.('Comfy.Locale') ?? 'en'

const setting = (name) => `mimaface.${name}`

/** A setting of the user in this browser; `usual` where none is kept. */
export function kept(name, usual) {
  try {
    return JSON.parse(localStorage.getItem(setting(name))) ?? usual
  } catch {
    return usual
  }
}

/** Keeps a setting of the user in this browser. */
export function keep(name, value) {
  try {
    localStorage.setItem(setting(name), JSON.stringify(value))
  } catch {
    // a page without storage forgets it at its next loading
  }
}

/** What the server keeps for the user in a file of this extension; null where there is none. */
export async function userData(file) {
  const answer = await api.getUserData(`mimaface/${file}`)
  return answer.status === 200 ? answer.json() : null
}

/** Keeps JSON for the user in a file of this extension. */
export const keepUserData = (file, content) => api.storeUserData(`mimaface/${file}`, content)
