"""The bundle on your own machine: emulators of the three clouds, a local AWS, and what runs the functions in it."""
