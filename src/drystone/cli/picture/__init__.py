"""Pictures of cells: grids of coloured cells with axes and a legend, on a terminal or as PNG."""
