"""The bundle on your own machine: stand-ins of the three clouds, local AWS, and what runs the functions."""
