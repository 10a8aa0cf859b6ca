// Registers what this extension adds to ComfyUI's page.
import { register, tellCached } from './editor/host.js'
import { addEditor, WIDGET } from './editor/nodes.js'

register({ name: 'MIMAFace', nodeCreated: addEditor })
tellCached(WIDGET)
