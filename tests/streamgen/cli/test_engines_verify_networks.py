from engines.verify import Limits, OutputReport, Report
from streamgen.cli.engines_verify_networks import figures_of


def reported(answer_db, memory_db):
    outputs = (("answer", answer_db), ("memory", memory_db))
    return Report(
        role="unet",
        outputs=tuple(
            OutputReport(name=name, max_abs=0.5, snr_db=db, is_finite=True) for name, db in outputs
        ),
    )


def test_the_output_that_is_nearest_to_its_own_limit_is_told():
    limits = Limits(min_snr_db=20.0, inner_snr_db=-10.0)

    told = figures_of([reported(45.0, 1.0), reported(42.0, -0.2)], limits)
    assert (told["snr_db"], told["required_db"]) == (-0.2, -10.0)

    told = figures_of([reported(45.0, 30.0), reported(22.0, 16.0)], limits)
    assert (told["snr_db"], told["required_db"]) == (22.0, 20.0)
