// Drives ComfyUI's page for the tests. A line of JSON on standard input, {"do": action, …}, is answered by one on
// standard output: {"gave": …} or {"failed": sentence}. Started as: node page.mjs CHROMIUM ADDRESS [CAMERA.mjpeg]
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { createInterface } from 'node:readline'
import { chromium } from 'playwright-core'
import { editorActions } from './editor.mjs'

const [executablePath, address, camera] = process.argv.slice(2)
const PACK = 'ComfyUI-MIMAFace'
const PATIENCE = 180_000 // milliseconds; other work may share the machine
const QUIET = ['no-sandbox', 'disable-gpu', 'disable-dev-shm-usage', 'disable-quic', 'no-first-run']
const ALONE = ['disable-background-networking', 'disable-component-update', 'disable-sync']
const FAKE = ['use-fake-ui-for-media-stream', 'use-fake-device-for-media-stream', `use-file-for-fake-video-capture=${camera}`]
const SETTINGS = {
  'Comfy.TutorialCompleted': true, // else a dialog greets
  'Comfy.ConfirmClear': false,
  'Comfy.Notification.ShowVersionUpdates': false
}

const browser = await chromium.launch({ executablePath, args: [...QUIET, ...ALONE, ...(camera ? FAKE : [])].map((name) => `--${name}`) })
const page = await browser.newPage({ viewport: { width: 1600, height: 900 } })
page.setDefaultTimeout(PATIENCE)
await page.route((url) => url.origin !== address, (route) => route.abort())

// Errors of the page. Before it has loaded, and for missing files, only those that name this extension count.
let faults = []
let loaded = false
const theirs = "Cannot set properties of null (setting 'value')" // of a closing search box, in pages of 2025
const NEWER = { '/api/jobs': 'JobsApiError: Failed to fetch jobs: 404' } // routes that ComfyUI 0.3.64 lacks → newer pages' complaint
const lacking = new Set()
const note = (text) => {
  if ([...lacking].some((route) => text.includes(NEWER[route]))) return
  if (text.includes('MIMAFace') || (loaded && !text.includes(theirs))) faults.push(text.slice(0, 500))
}
const translatedHelp = /\/docs\/\w+\/\w+\.md$/ // requested first, and seldom there
page.on('pageerror', (error) => note(`uncaught: ${error.stack}`))
page.on('console', (message) => {
  if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) note(message.text())
})
page.on('response', (answer) => {
  const url = answer.url()
  const { pathname } = new URL(url)
  if (answer.status() === 404 && pathname in NEWER) lacking.add(pathname)
  if (answer.status() >= 400 && url.includes('MIMAFace') && !translatedHelp.test(url)) faults.push(`${answer.status()} ${url}`)
})

const drawn = () => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))))

/** Waits until the graph has nodes, the images of its inputs are shown and its cameras have told their size. */
async function opened() {
  await page.waitForFunction(() => {
    const pictures = app.graph.nodes.filter((node) => node.type === 'LoadImage')
    const cameras = app.graph.nodes.filter((node) => node.type === 'WebcamCapture')
    const shown = pictures.every((node) => node.imgs?.every((picture) => picture.complete))
    const filmed = cameras.every((node) => node.widgets.find(({ name }) => name === 'width')?.value > 0)
    return app.graph.nodes.length > 1 && shown && filmed
  })
  await drawn()
}

/** Opens the search over an empty place of the canvas, as a double click does, and types. */
async function search(text) {
  const field = page.locator('input[role=combobox]:focus')
  const open = (timeout) => field.waitFor({ timeout }).then(() => true, () => false)
  for (let tries = 0; tries < 6; tries++) {
    await page.mouse.dblclick(700, 350) // a busy page misses one now and then
    if (await open(5000)) return page.keyboard.insertText(text)
  }
  throw new Error('a double click on the canvas opens no search')
}

const actions = {
  ...editorActions(page),

  /** Loads the page with settings of the user and waits for this extension's nodes. */
  async open({ settings = {} }) {
    loaded = false
    await page.request.post(`${address}/api/settings`, { data: { ...SETTINGS, ...settings } })
    await page.goto(address, { waitUntil: 'domcontentloaded' })
    await page.waitForFunction(() => window.app?.graph && window.LiteGraph?.registered_node_types.MIMAFaceLoadPack)
    await page.getByTestId('queue-button').waitFor()
    loaded = true
  },

  /** The version of the front end. */
  version() {
    return page.evaluate(() => window.__COMFYUI_FRONTEND_VERSION__)
  },

  /** An empty graph, with nothing open over it. */
  async blank() {
    await page.keyboard.press('Escape')
    await page.locator('[role=dialog]').waitFor({ state: 'hidden' })
    await page.evaluate(() => app.extensionManager.command.execute('Comfy.ClearWorkflow'))
    await page.waitForFunction(() => app.graph.nodes.length === 0)
    await page.evaluate(() => app.canvas.ds.reset())
  },

  /** The texts of the results of a search, once there are `count` of them. */
  async search({ text, count }) {
    await search(text)
    const found = page.getByRole('option').filter({ hasText: text })
    await found.nth(count - 1).waitFor()
    return found.allInnerTexts()
  },

  /** Adds the node of a name by the search; gives its type, its title and the names it shows for its inputs. */
  async add({ name }) {
    await search(name)
    await page.getByRole('option').filter({ hasText: name }).first().click()
    await page.waitForFunction(() => app.graph.nodes.length === 1)
    const carried = () => page.evaluate(() => app.graph.nodes.some((node) => node.flags?.ghost))
    for (let tries = 0; tries < 10; tries++) {
      await drawn()
      await page.mouse.click(700 + tries, 350) // newer pages carry the node with the mouse until it is put down
      await drawn()
      if (!(await carried())) break
    }
    return page.evaluate(() => {
      const [{ type, title, inputs = [], widgets = [] }] = app.graph.nodes
      return { type, title, shown: [...inputs, ...widgets].map((slot) => slot.label ?? slot.localized_name ?? slot.name) }
    })
  },

  /** Contents of the only node, a blueprint: the types inside, those that are missing, and the names of its inputs. */
  inside() {
    return page.evaluate(() => {
      const [{ subgraph, inputs }] = app.graph.nodes
      const types = subgraph.nodes.map((node) => node.type)
      const missing = types.filter((type) => !LiteGraph.registered_node_types[type])
      return { types, missing, inputs: inputs.map((slot) => slot.label ?? slot.name) }
    })
  },

  /** Opens a template from the template browser. */
  async template({ name }) {
    await page.getByText('Templates', { exact: true }).first().click()
    const dialog = page.getByRole('dialog')
    await dialog.getByText(PACK).first().click()
    await dialog.getByText(name, { exact: true }).first().click()
    await dialog.waitFor({ state: 'hidden' })
    await opened()
  },

  /** Drops a file on the canvas. */
  async drop({ file }) {
    const text = await readFile(file, 'utf8')
    await page.evaluate(
      ([text, name]) => {
        const dataTransfer = new DataTransfer()
        dataTransfer.items.add(new File([text], name, { type: 'application/json' }))
        const where = { bubbles: true, cancelable: true, clientX: 800, clientY: 450, dataTransfer }
        const canvas = document.querySelector('#graph-canvas')
        for (const kind of ['dragenter', 'dragover', 'drop']) canvas.dispatchEvent(new DragEvent(kind, where))
      },
      [text, basename(file)]
    )
    await opened()
  },

  /** The titles of the graph's nodes, their faults, and the prompt that *Run* would send. */
  graph() {
    return page.evaluate(async () => {
      const wrong = []
      for (const node of app.graph.nodes) {
        if (!LiteGraph.registered_node_types[node.type]) wrong.push(`${node.type} is missing`)
        if (node.has_errors) wrong.push(`${node.title} is red`)
        for (const { name, type, value, options } of node.widgets ?? []) {
          const known = typeof options?.values === 'function' ? options.values() : options?.values
          if (type === 'combo' && !known.includes(value)) wrong.push(`${node.title}: ${name} has no ${value}`)
        }
      }
      for (const dialog of document.querySelectorAll('[role=dialog], .p-toast-message')) wrong.push(dialog.innerText)
      const titles = app.graph.nodes.map((node) => node.title)
      return { titles, wrong, sends: (await app.graphToPrompt()).output }
    })
  },

  /** The help of the only node, opened from the buttons over it: its text, and the width of each image in it. */
  async help({ heading }) {
    await page.evaluate(() => {
      app.canvas.deselectAll()
      app.canvas.selectNode(app.graph.nodes[0])
    })
    await page.getByTestId('info-button').click()
    const help = page.locator('.node-help-content')
    await help.getByRole('heading', { name: heading, exact: true }).waitFor()
    await page.waitForFunction(() =>
      [...document.querySelectorAll('.node-help-content img')].every((picture) => picture.complete)
    )
    return {
      text: await help.innerText(),
      pictures: await help.locator('img').evaluateAll((all) => all.map((picture) => picture.naturalWidth))
    }
  },

  /** Sets a widget of the node of a title. */
  async set({ title, widget, value }) {
    await page.evaluate(
      ([title, widget, value]) => {
        const node = app.graph.nodes.find((node) => node.title === title)
        node.widgets.find(({ name }) => name === widget).value = value
      },
      [title, widget, value]
    )
  },

  /** Presses *Run* and waits for the end; a screenshot is taken at the first step of a node that has many. */
  async run({ shot }) {
    await page.evaluate(() => {
      const seen = (window.seen = { executed: [], lit: [], steps: 0, previews: 0, end: null })
      const titled = (id) => app.graph.getNodeById(id)?.title
      const lit = (node) => node.strokeStyles?.running?.call(node)
      const on = (name, heard) => app.api.addEventListener(name, ({ detail }) => heard(detail))
      on('executing', (id) => id && seen.executed.push(titled(id)))
      on('progress', ({ node }) => {
        seen.steps += 1
        const now = app.graph.nodes.filter(lit).map(({ title }) => title)
        if (now.includes(titled(node)) && !seen.lit.includes(titled(node))) seen.lit.push(titled(node))
      })
      on('b_preview', () => (seen.previews += 1))
      on('execution_success', () => (seen.end = 'success'))
      on('execution_error', (error) => (seen.end = error.exception_message))
    })
    await page.getByTestId('queue-button').click()
    await page.waitForFunction(() => seen.previews > 0 || seen.end)
    await page.screenshot({ path: shot })
    await page.waitForFunction(() => seen.end)
    return page.evaluate(() => seen)
  },

  /** The videos of the output folder that the page shows, each after it has started to play. */
  async videos({ count }) {
    const of = 'video[src*="type=output"], video:has(source[src*="type=output"])'
    await page.locator(of).nth(count - 1).waitFor({ state: 'attached' })
    return page.locator(of).evaluateAll((all) =>
      Promise.all(
        all.map(async (video) => {
          video.muted = video.loop = true
          await video.play()
          while (video.currentTime === 0) await new Promise(requestAnimationFrame)
          const { currentSrc, duration, videoWidth, videoHeight } = video
          return { name: new URL(currentSrc).searchParams.get('filename'), duration, size: [videoWidth, videoHeight] }
        })
      )
    )
  },

  async shot({ path }) {
    await page.screenshot({ path })
  },

  /** The errors since the last call. */
  faults() {
    const since = faults
    faults = []
    return since
  }
}

const late = () =>
  new Promise((_, refuse) => setTimeout(() => refuse(new Error('it takes too long')), 4 * PATIENCE).unref())

for await (const line of createInterface({ input: process.stdin })) {
  const { do: name, ...given } = JSON.parse(line)
  let answer
  try {
    answer = { gave: (await Promise.race([actions[name](given), late()])) ?? null }
  } catch (error) {
    answer = { failed: `${name}: ${error.message}` }
  }
  console.log(JSON.stringify(answer))
}
await browser.close()
