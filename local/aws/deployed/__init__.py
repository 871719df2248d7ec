"""The built template, really deployed: `sam build` and `sam deploy` into a local AWS that enforces roles."""
