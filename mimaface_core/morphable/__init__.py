"""Linear 3D face models in the 257-coefficient layout of D3DFR: model, z-buffer rasterizer, shaded renders."""
