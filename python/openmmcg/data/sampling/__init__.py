"""Reference sampling in OpenMM: from a System to a mapped dataset."""
