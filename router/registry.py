"""Entry points -> {kind: class}. Written by the configuration work; see its tests."""
