// What the tests do with the editors in ComfyUI's page; the actions of page.mjs for them.

const EDITORS = ['MIMAFaceEditMotion', 'MIMAFaceKeyframeMotion']

/** The actions, on a page of playwright. */
export function editorActions(page) {
  const editor = (index) => page.locator('.mf-editor').nth(index)
  let at = [0, 0] // the pointer after a drag
  const stage = (index) => editor(index).locator('.mf-stage')

  /** Waits until the picture of an editor shows its value and nothing more is asked for. */
  async function settled(index) {
    await page.waitForFunction(
      (index) => {
        const face = document.querySelectorAll('.mf-editor')[index]?.querySelector('.mf-face')
        return face?.dataset.state === 'live' && face.querySelector('.mf-stage').getAttribute('aria-busy') === 'false'
      },
      index
    )
  }

  const inNode = (index, does, given) =>
    page.evaluate(`(${does})(window.graphNow().nodes.filter((node) => ${JSON.stringify(EDITORS)}.includes(node.type))[${index}], ${JSON.stringify(given ?? null)})`)

  return {
    /** A graph with an editor for each file of the input folder, as they come one above the other. */
    async editors({ files, type = 'MIMAFaceEditMotion' }) {
      await page.evaluate(([files, type]) => {
        window.graphNow = () => app.canvas.graph
        const added = (type, x, y) => {
          const node = LiteGraph.createNode(type)
          node.pos = [x, y]
          app.graph.add(node)
          return node
        }
        const pack = added('MIMAFaceLoadPack', -700, 40)
        files.forEach((file, row) => {
          const image = added('LoadImage', -700, 200 + 700 * row)
          image.widgets.find(({ name }) => name === 'image').value = file
          const extract = added('MIMAFaceExtract3DMM', -350, 40 + 700 * row)
          const edit = added(type, 0, 40 + 700 * row)
          const render = added('MIMAFaceRenderMotion', 900, 40 + 700 * row)
          if (type === 'MIMAFaceKeyframeMotion') {
            const audio = added('LoadAudio', -350, 440 + 700 * row)
            audio.widgets.find(({ name }) => name === 'audio').value = 'mimaface_voice.wav'
            audio.connect(0, edit, 'audio')
          }
          const parts = added('GetVideoComponents', 1300, 40 + 700 * row)
          const show = added('PreviewImage', 1600, 40 + 700 * row)
          pack.connect(0, extract, 'pack')
          image.connect(0, extract, 'picture')
          extract.connect(extract.findOutputSlot('source'), edit, 'face')
          edit.connect(0, render, 'motion')
          render.inputs.filter(({ name }) => name === 'source').forEach(() => extract.connect(extract.findOutputSlot('source'), render, 'source'))
          render.inputs.filter(({ name }) => name === 'pack').forEach(() => pack.connect(0, render, 'pack'))
          render.connect(0, parts, 'video')
          parts.connect(0, show, 'images')
        })
        Object.assign(app.canvas.ds, { scale: 0.6 })
        app.canvas.ds.offset = [120, 90]
        app.graph.setDirtyCanvas(true, true)
        app.extensionManager.workflow.activeWorkflow.changeTracker.captureCanvasState?.()
      }, [files, type])
      for (const index of files.keys()) await editor(index).locator('.mf-face').waitFor()
    },

    /** Presses *Run* and waits until each editor has what the run gave it, and its picture. */
    async source({ count }) {
      await page.evaluate(([count, types]) => {
        const editors = window.graphNow().nodes.filter(({ type }) => types.includes(type))
        const waiting = new Set(editors.slice(0, count).map(({ id }) => String(id)))
        window.given = new Promise((done) => {
          app.api.addEventListener('executed', function took({ detail }) {
            waiting.delete(String(detail.display_node ?? detail.node).split(':').at(-1))
            if (waiting.size) return
            app.api.removeEventListener('executed', took)
            done()
          })
        })
      }, [count, EDITORS])
      await page.getByTestId('queue-button').click()
      await page.evaluate(() => window.given)
      for (let index = 0; index < count; index++) await settled(index)
    },

    async settle({ index = 0 }) {
      await settled(index)
    },

    /** The state of an editor: its message, its value, and the colours of the picture at a grid of places. */
    async face({ index = 0, grid = 64 }) {
      if ((await editor(index).locator('.mf-face').getAttribute('data-state')) === 'live') await settled(index)
      return editor(index).evaluate((element, grid) => {
        const canvas = element.querySelector('.mf-picture')
        const small = new OffscreenCanvas(grid, grid).getContext('2d')
        small.drawImage(canvas, 0, 0, grid, grid)
        const { data } = small.getImageData(0, 0, grid, grid)
        const handles = [...element.querySelectorAll('.mf-point:not([hidden])')]
        return {
          state: element.querySelector('.mf-face').dataset.state,
          says: element.querySelector('.mf-status').innerText,
          pixels: Array.from({ length: grid * grid }, (_, at) => [...data.slice(4 * at, 4 * at + 3)]),
          handles: Object.fromEntries(handles.map(({ dataset, style }) => [dataset.handle, [parseFloat(style.left) / 100, parseFloat(style.top) / 100]]))
        }
      }, grid)
    },

    /** The value of an editor's node, its own place, the room over the editor in it, and how many steps the page can undo. */
    async value({ index = 0 }) {
      return inNode(index, (node) => ({
        edit: node.widgets.find(({ name }) => name === 'edit' || name === 'keyframes').value,
        pos: [...node.pos],
        top: node.widgets.find(({ name }) => name === 'mimaface_editor').y ?? 0,
        shown: node.widgets.filter(({ hidden }) => !hidden).map(({ name }) => name),
        steps: app.extensionManager.workflow.activeWorkflow.changeTracker.undoQueue.length
      }))
    },

    /** Drags a handle by shares of the picture, in several moves; with `held` the pointer is not let go. */
    async drag({ index = 0, handle, dx = 0, dy = 0, keys = [], moves = 6, held = false }) {
      const box = await stage(index).boundingBox()
      const target = handle === 'head' ? null : await stage(index).locator(`[data-handle=${handle}]`).boundingBox()
      const [x, y] = target ? [target.x + target.width / 2, target.y + target.height / 2] : [box.x + box.width * 0.5, box.y + box.height * 0.14]
      for (const key of keys) await page.keyboard.down(key)
      await page.mouse.move(x, y)
      await page.mouse.down()
      for (let move = 1; move <= moves; move++) {
        await page.mouse.move(x + (dx * box.width * move) / moves, y + (dy * box.height * move) / moves)
        await page.waitForTimeout(15)
      }
      at = [x + dx * box.width, y + dy * box.height]
      if (!held) await page.mouse.up()
      for (const key of keys) await page.keyboard.up(key)
    },

    /** Moves the held pointer by pixels and lets it go. */
    async moveOn({ dx, dy }) {
      await page.mouse.move(at[0] + dx, at[1] + dy, { steps: 5 })
      await page.mouse.up()
      await page.locator('.mf-face:not([data-state=live])').first().waitFor()
    },

    /** Cuts the page off its server, or joins them again. */
    async network({ there }) {
      await page.context().setOffline(!there)
      if (there) await page.waitForFunction(() => app.api.socket?.readyState === WebSocket.OPEN)
    },

    async letGo() {
      await page.mouse.up()
    },

    /** Presses keys, after the focus was put on what `focus` names among the editor's elements. */
    async keys({ index = 0, focus = null, keys }) {
      if (focus) await editor(index).locator(`[data-focus="${focus}"]`).focus()
      for (const key of keys) await page.keyboard.press(key)
      await page.waitForTimeout(150)
    },

    /** Types an exact value of a control. */
    async type({ index = 0, control, text }) {
      const field = editor(index).locator(`[data-focus="${control}#"]`)
      await field.fill(text)
      await field.press('Enter')
    },

    /** Clicks the button that a name reads out. */
    async click({ index = 0, name, keys = [] }) {
      await editor(index).getByRole('button', { name, exact: false }).first().click({ modifiers: keys })
    },

    async tab({ index = 0, group }) {
      await editor(index).locator(`[data-group=${group}]`).click()
    },

    /** The names and values that the shown sliders read out. */
    sliders({ index = 0 }) {
      return editor(index)
        .getByRole('slider')
        .evaluateAll((all) => all.map((one) => [one.ariaLabel ?? one.getAttribute('aria-label'), Number(one.getAttribute('aria-valuenow'))]))
    },

    /** Undoes or redoes by the keyboard, with the focus on the canvas. */
    async history({ key }) {
      const values = () => JSON.stringify(app.canvas.graph.nodes.map(({ widgets }) => widgets?.find(({ name }) => name === 'edit' || name === 'keyframes')?.value))
      const before = await page.evaluate(values)
      // Front ends before 1.41 lay a loaded graph out anew in Nodes 2.0, and may count that as a step.
      const old = await page.evaluate(() => Number(window.__COMFYUI_FRONTEND_VERSION__.split('.')[1]) < 41)
      for (let tries = old ? 3 : 1; tries && (await page.evaluate(values)) === before; tries--) {
        await page.evaluate(() => document.activeElement?.blur())
        await page.keyboard.press(key)
        for (let waits = 0; waits < 50 && (await page.evaluate(values)) === before; waits++) await page.waitForTimeout(100)
      }
      await page.waitForTimeout(400)
      await page.locator('.mf-editor .mf-face').first().waitFor()
    },

    /** Sets a widget of an editor's node. */
    async widget({ index = 0, name, value }) {
      await inNode(index, (node, [name, value]) => {
        const widget = node.widgets.find((one) => one.name === name)
        widget.value = value
        widget.callback?.(value)
        node.onConfigure?.(node.serialize())
      }, [name, value])
    },

    /** Links a slider of an editor's node to a number that is known in a run only. */
    async link({ index = 0, name }) {
      await inNode(index, (node, name) => {
        const number = LiteGraph.createNode('GetVideoComponents')
        app.graph.add(number)
        number.connect(number.findOutputSlot('fps'), node, name)
      }, name)
    },

    /** Saves the graph, loads the page anew, and opens what was saved. */
    async reload() {
      const saved = await page.evaluate(() => JSON.stringify(app.graph.serialize()))
      await page.reload({ waitUntil: 'domcontentloaded' })
      await page.waitForFunction(() => window.app?.graph && window.LiteGraph?.registered_node_types.MIMAFaceLoadPack)
      await page.getByTestId('queue-button').waitFor()
      await page.evaluate((saved) => {
        window.graphNow = () => app.canvas.graph
        return app.loadGraphData(JSON.parse(saved))
      }, saved)
      await page.locator('.mf-editor .mf-face').first().waitFor()
      return saved
    },

    /** Copies the node of an editor and pastes it, by the keyboard. */
    async duplicate({ index = 0 }) {
      await inNode(index, (node) => {
        document.activeElement?.blur()
        app.canvas.deselectAll()
        app.canvas.selectNode(node)
        app.canvas.canvas.focus()
      })
      await page.mouse.move(60, 860)
      await page.keyboard.press('Control+c')
      await page.keyboard.press('Control+v')
      await page.waitForFunction(() => app.graph.nodes.filter(({ type }) => type === 'MIMAFaceEditMotion').length === 2)
      await page.locator('.mf-editor .mf-face').nth(1).waitFor()
    },

    /** Puts the node of an editor into a subgraph and opens that. */
    async intoSubgraph({ index = 0 }) {
      await inNode(index, (node) => {
        const { node: box } = app.graph.convertToSubgraph(new Set([node]))
        app.canvas.openSubgraph?.(box.subgraph, box) ?? app.canvas.setGraph(box.subgraph)
      })
      await page.locator('.mf-editor .mf-face').first().waitFor()
      await page.evaluate(() => {
        const [node] = app.canvas.graph.nodes.filter(({ type }) => type === 'MIMAFaceEditMotion')
        app.canvas.ds.scale = 0.6
        app.canvas.ds.offset = [300 - node.pos[0], 200 - node.pos[1]]
        app.canvas.setDirty(true, true)
      })
    },

    /** Presses, moves and lets go within a part of an editor, by shares of its size; without `to` it is a double click. */
    async within({ index = 0, part, origin, to }) {
      const { x, y, width, height } = await editor(index).locator(part).boundingBox()
      const place = ([across, down]) => [x + across * width, y + down * height]
      if (!to) await page.mouse.dblclick(...place(origin))
      else {
        await page.mouse.move(...place(origin))
        await page.mouse.down()
        await page.mouse.move(...place(to), { steps: 6 })
        await page.waitForTimeout(100)
        await page.mouse.up()
      }
      await page.waitForTimeout(200)
    },

    /** What the timeline tells under the pointer, its playhead's time, and whether it draws a waveform. */
    timeline({ index = 0 }) {
      return editor(index).evaluate((element) => ({
        told: element.querySelector('.mf-told').value,
        time: Number(element.querySelector('.mf-ruler').getAttribute('aria-valuenow')),
        wave: element.querySelector('.mf-wave path').getAttribute('d') ?? '',
        keys: [...element.querySelectorAll('.mf-key')].map((key) => key.getAttribute('aria-label'))
      }))
    },

    /** What the page's own code makes of a timeline at times of one run. */
    async positions({ text, control, times }) {
      return page.evaluate(
        async ([text, control, times]) => {
          const { Keyframes } = await import('/extensions/ComfyUI-MIMAFace/editor/keyframes.js')
          const timeline = new Keyframes(new Map(), text)
          return times.map((time) => timeline.at(control, timeline.looped(time)))
        },
        [text, control, times]
      )
    },

    /** Types a text where the focus is, and Enter. */
    async write({ text }) {
      await page.keyboard.insertText(text)
      await page.keyboard.press('Enter')
    },

    /** The presets that an editor offers. */
    presets({ index = 0 }) {
      return editor(index).locator('.mf-strip .mf-card > span:last-child').allInnerTexts()
    },

    /** Has the images of the graph be another file, presses *Run*, and tells how the run ends. */
    async ends({ file }) {
      await page.evaluate((file) => {
        window.end = null
        for (const node of app.graph.nodes.filter(({ type }) => type === 'LoadImage')) node.widgets.find(({ name }) => name === 'image').value = file
        for (const name of ['execution_error', 'execution_success']) app.api.addEventListener(name, () => (window.end = name), { once: true })
      }, file)
      await page.getByTestId('queue-button').click()
      await page.waitForFunction(() => window.end)
      return page.evaluate(() => window.end)
    },

    /** Whether the switch for both sides is on. */
    mirrored({ index = 0 }) {
      return editor(index).evaluate((element) => element.querySelector('.mf-tool[aria-pressed]').getAttribute('aria-pressed') === 'true')
    },

    /** What the shown sliders tell where the pointer rests on them. */
    tips({ index = 0 }) {
      return editor(index).getByRole('slider').evaluateAll((all) => all.map((one) => one.title))
    },

    /** The words of the page, of groups, controls and presets too, that have no Chinese. */
    async untranslated() {
      return page.evaluate(async () => {
        const { en } = await import('/extensions/ComfyUI-MIMAFace/editor/texts.js')
        const { zh } = await import('/extensions/ComfyUI-MIMAFace/editor/texts_zh.js')
        const told = async (route) => (await app.api.fetchApi(`/mimaface/${route}`)).json()
        const { groups, controls } = await told('controls')
        const { presets } = await told('presets')
        const names = controls.map(({ name }) => name.replace(/_(right|left)$/, ''))
        const needed = { group_names: groups.map(({ name }) => name), control_names: names, control_tips: names, preset_names: presets.map(({ name }) => name) }
        const missing = Object.entries(needed).flatMap(([kind, all]) => all.filter((name) => !zh[kind][name]).map((name) => `${kind}.${name}`))
        return [...Object.keys(en).filter((key) => !(key in zh)), ...missing]
      })
    },

    /** The controls that the handles move. */
    async movedByHandles() {
      return page.evaluate(async () => (await import('/extensions/ComfyUI-MIMAFace/editor/handles.js')).movedByHandles())
    },

    async outOfSubgraph() {
      await page.evaluate(() => app.canvas.setGraph(app.rootGraph ?? app.graph))
      await page.waitForTimeout(300)
    }
  }
}
