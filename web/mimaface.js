// Registers what this extension adds to ComfyUI's page.
import { addEditor } from './editor/nodes.js'
import { register } from './editor/host.js'

register({ name: 'MIMAFace', nodeCreated: addEditor })
