"""What several tests share: this checkout as a package, made inputs, tiny packs, servers."""
