// Tries the page of `mimaface live`: node live.mjs CHROMIUM ADDRESS CAMERA.mjpeg PHOTOGRAPH SCREENSHOT FACELESS
// Prints what the page said, how many pictures came, how far they moved, and faults, as a line of JSON.
import { chromium } from 'playwright-core'

const [executablePath, address, camera, photograph, screenshot, faceless] = process.argv.slice(2)
const fake = ['--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream', `--use-file-for-fake-video-capture=${camera}`]
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', ...fake] })
const page = await browser.newPage({ viewport: { width: 1000, height: 720 } })
page.setDefaultTimeout(180_000)
const faults = []
page.on('pageerror', (error) => faults.push(error.stack))

// Mean difference from what the page showed when this was first called; told there, since pictures are slow to hand over
const distance = () => page.evaluate(() => {
  const canvas = document.querySelector('#shown')
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
  window.still ??= data
  return data.reduce((sum, value, at) => sum + Math.abs(value - still[at]), 0) / data.length
})
const pictures = (count) => page.waitForFunction((count) => Number(document.querySelector('#shown').dataset.frames ?? 0) >= count, count)

await page.goto(address)
await page.waitForFunction(() => {
  const canvas = document.querySelector('#shown')
  return canvas.getContext('2d').getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data[3] > 0
})
await distance()
await page.click('#camera')
await pictures(1)
const moved = []
for (let count = 2; count < 8; count++) {
  await pictures(count)
  moved.push(await distance())
}
const said = await page.textContent('#said')
await page.screenshot({ path: screenshot })
await page.click('#rest')
await page.setInputFiles('#photograph', photograph)
const other = await page.evaluate(async () => { // the photograph that the server now has
  for (;;) {
    const size = Number((await fetch('/source')).headers.get('content-length'))
    window.first ??= size
    if (size !== window.first) return true
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
})
const before = await page.evaluate(() => Number(document.querySelector('#shown').dataset.frames))
await page.setInputFiles('#photograph', faceless)
await page.waitForFunction(() => document.querySelector('#answer').textContent.includes('No face'))
await pictures(before + 3) // the refusal stays while frames come
const refused = await page.textContent('#answer')
await page.focus('#stop')
await page.keyboard.press('Enter')
const stopped = await page.textContent('#said')
const focused = await page.evaluate(() => document.activeElement.id)
await page.fill('#address', 'rtsp://127.0.0.1:9/nobody')
await page.click('#feed')
await page.waitForFunction(() => document.querySelector('#said').textContent.includes('does not answer'))
const feed = await page.textContent('#said')
await page.fill('#address', '/etc/passwd')
await page.press('#address', 'Enter')
await page.waitForFunction(() => document.querySelector('#said').textContent.includes('is no address'))
await page.dblclick('#camera') // the second click ends what the first one began
await pictures(before + 6)
await page.route('**/source', (route) => route.abort()) // as when the server has ended
await page.setInputFiles('#photograph', photograph)
await page.waitForFunction(() => document.querySelector('#answer').textContent.includes('still running'))
const more = [...Array(5)].map(() => new Promise((resolve) => {
  page.evaluate((address) => new Promise((closed) => {
    const socket = new WebSocket(`${address.replace('http', 'ws')}/frames`)
    socket.onclose = ({ reason }) => closed(reason)
    setTimeout(() => closed(''), 3000)
  }), address).then(resolve)
}))
const reasons = await Promise.all(more)
await browser.close()
console.log(JSON.stringify({ said, moved: Math.max(...moved), least: Math.min(...moved), other, refused, stopped, focused, feed, reasons, faults }))
