// Previews from the server: one request at a time, the newest wish wins.
import { ask } from './host.js'
import { eachFrame } from './dom.js'

const GONE = 404
// Milliseconds until a wish is tried again: overtaken by another editor of the same source, too many requests.
const PAUSES = { 409: 40, 429: 300 }

/**
 * Asks for previews.
 *
 * @param shown gets each: `shown(picture, handles, about)`
 * @param failed is told why there is none: `failed(sentence, kind)` with kind `away`, `gone` or `refused`
 * @param rested is called when nothing more is wished for
 */
export class Stream {
  constructor(shown, failed, rested = () => {}) {
    Object.assign(this, { shown, failed, rested, wish: null, busy: null, closed: false })
    this.client = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}` // newest wins among its own only
    this.start = eachFrame(() => this.next())
  }

  /** Wishes for a preview, `{source, edit, size}`, about what `shown` is told; a wish not yet sent is forgotten. */
  want(wish, about) {
    this.wish = { wish: { ...wish, client: this.client }, about }
    if (!this.busy) this.start()
  }

  /** Whether a preview is under way or wished for. */
  get active() {
    return Boolean(this.busy || this.wish)
  }

  async next() {
    if (this.busy || this.closed || !this.wish) return
    const sent = this.wish
    this.wish = null
    this.busy = new AbortController()
    try {
      const answer = await ask('preview', sent.wish, this.busy.signal)
      if (answer.ok) await this.take(answer, sent.about)
      else await this.refused(answer, sent)
    } catch (error) {
      if (error.name !== 'AbortError') this.failed('The server does not answer. Your edit is kept.', 'away')
    }
    this.busy = null
    if (this.closed) return
    if (this.wish) this.start()
    else this.rested()
  }

  async take(answer, about) {
    const handles = JSON.parse(answer.headers.get('X-MIMAFace-Handles') ?? '{}')
    const picture = await createImageBitmap(await answer.blob())
    if (this.closed) picture.close()
    else this.shown(picture, handles, about)
  }

  async refused(answer, sent) {
    if (answer.status in PAUSES) {
      await new Promise((done) => setTimeout(done, PAUSES[answer.status]))
      this.wish ??= sent
      return
    }
    const { error } = await answer.json().catch(() => ({}))
    const known = answer.status === GONE && error
    this.failed(error ?? `The server answers ${answer.status}.`, known ? 'gone' : 'refused')
  }

  /** Ends for good; what is under way is dropped. */
  close() {
    this.closed = true
    this.wish = null
    this.start.stop()
    this.busy?.abort()
  }
}
