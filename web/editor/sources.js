// The sources that runs have left, by node: an undo or a reload finds them again.
import { nodeKey, onCleared } from './host.js'

const PREFIX = 'mimaface.source/'
const known = new Map()
const kept = (node) => PREFIX + nodeKey(node)

/** Keeps the opaque key of a node's source for as long as the tab lives. */
export function remember(node, source) {
  known.set(kept(node), source)
  try {
    sessionStorage.setItem(kept(node), source)
  } catch {
    // a page without storage forgets it at its next loading
  }
}

/** The key that was kept for a node, or null. */
export function recalled(node) {
  try {
    return known.get(kept(node)) ?? sessionStorage.getItem(kept(node))
  } catch {
    return known.get(kept(node)) ?? null
  }
}

// In front ends before 1.41 all cleared graphs are of one id, and number their nodes from 1 again.
onCleared((graph) => {
  const gone = (key) => key.startsWith(`${PREFIX}${graph}/`)
  for (const key of [...known.keys()].filter(gone)) known.delete(key)
  try {
    for (const key of Object.keys(sessionStorage).filter(gone)) sessionStorage.removeItem(key)
  } catch {
    // as above
  }
})
