"""Linear 3D face models in the 257-coefficient layout: model, fitting, z-buffer rasterizer and renders."""
