"""Person and robot in one scene: the `*_scene` files build it, the others say what passes between them.

Another scene is a file here. Imports from `motions`, `engines`, `human`, `robots`.
"""
