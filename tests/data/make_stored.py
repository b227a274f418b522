"""Write the small priors, dataset and liquid that tests load, in the formats of this version.

Files of every format version stay in the repository. Run this only to add those of a new version, after changing the
names here: python tests/data/make_stored.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "python"))


def main() -> None:
    """Write all files."""
    import peptide_frames
    import test_export_verify
    from openmmcg import export
    from test_priors_use import everything

    (HERE / "priors-v2.json").write_text(json.dumps(everything().to_dict()) + "\n")
    frames = peptide_frames.frames(
        [-80.0, 60.0, 150.0], [150.0, 30.0, -60.0], np.random.default_rng(0)
    )
    peptide_frames.write_dataset(HERE / "dataset-v2.h5", frames)
    export.save(
        test_export_verify.network(),
        HERE / "liquid-v1.cg.pt",
        temperature=300.0,
        topology=test_export_verify.liquid(),
    )


if __name__ == "__main__":
    main()
