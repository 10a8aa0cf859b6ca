// Tries the page of `mimaface serve`: node service.mjs CHROMIUM ADDRESS TOKEN WORKFLOW PHOTOGRAPH SCREENSHOT
// Prints what the page said and the size of the result, as a line of JSON.
import { chromium } from 'playwright-core'

const [executablePath, address, token, workflow, photograph, screenshot] = process.argv.slice(2)
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'] })
const page = await browser.newPage({ viewport: { width: 800, height: 700 } })
page.setDefaultTimeout(180_000)
const faults = []
page.on('pageerror', (error) => faults.push(error.stack))

await page.goto(address)
await page.waitForFunction(() => document.querySelector('output').textContent.includes('token'))
await page.fill('[name=token]', token)
await page.press('[name=token]', 'Tab')
await page.waitForFunction(() => !document.querySelector('button').disabled)
await page.selectOption('[name=workflow]', workflow)
await page.setInputFiles('[name=source]', photograph)
await page.click('button')
const made = page.locator('#result img, #result video')
await made.waitFor()
await page.waitForFunction(() => document.querySelector('#result img')?.naturalWidth)
const width = await made.evaluate((image) => image.naturalWidth)
const said = await page.textContent('output')
await page.screenshot({ path: screenshot })
await browser.close()
console.log(JSON.stringify({ said, width, faults }))
