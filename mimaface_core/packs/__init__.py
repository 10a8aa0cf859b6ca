"""Model packs: a manifest and weights in safetensors, loaded part by part."""
