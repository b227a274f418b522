"""How energies depend on the temperature: closed forms, derivatives, identities, export, OpenMM."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model_cases import (
    BEAD_TYPES,
    BONDS,
    CUTOFF,
    TYPES,
    Case,
    beads,
    call,
    close,
    conformations,
    make,
    moved,
    thermal_networks,
)
from openmmcg import export, models
from openmmcg.export.geometry import PairInputs
from openmmcg.models import PairTemplate
from openmmcg.models.thermal import ThermalInput, ThermalResponse

T0 = 320.0
temperatures = st.floats(240.0, 450.0)


def at(inputs: PairInputs, temperature: float) -> PairInputs:
    return replace(inputs, parameters=torch.tensor([temperature], dtype=torch.float64))


@settings(max_examples=20, deadline=None)
@given(temperature=temperatures)
def test_response_is_the_closed_form(temperature: float) -> None:
    """W, entropy and mean energy of constant heat capacity, from their textbook expressions."""
    readout = ThermalResponse(T0)
    energy, entropy, capacity = 5.0, 0.3, 0.7  # kJ/mol, kJ/mol/K
    channels = torch.tensor([energy, T0 * entropy, T0 * capacity], dtype=torch.float64)
    values, slopes = readout(torch.tensor(temperature, dtype=torch.float64))
    span, logarithm = temperature - T0, np.log(temperature / T0)
    free_energy = energy - span * entropy - (temperature * logarithm - span) * capacity
    assert float(channels @ values) == pytest.approx(free_energy, abs=1e-10)
    found = -float(channels @ slopes)
    assert found == pytest.approx(entropy + logarithm * capacity, abs=1e-12)
    mean_energy = energy + T0 * entropy + span * capacity
    assert free_energy + temperature * found == pytest.approx(mean_energy, abs=1e-10)


@pytest.mark.parametrize("readout", [ThermalResponse(T0, False), ThermalInput(T0).double()])
def test_slopes_are_derivatives_of_values(readout: torch.nn.Module) -> None:
    temperature = torch.linspace(250.0, 420.0, 9, dtype=torch.float64).requires_grad_(True)
    values, slopes = readout(temperature)
    for channel in range(values.shape[1]):
        (expected,) = torch.autograd.grad(
            values[:, channel].sum(), temperature, retain_graph=True, allow_unused=True
        )
        if expected is None:
            expected = torch.zeros_like(temperature)
        close(slopes[:, channel].detach(), expected, 1e-12)
    at_reference = readout(torch.tensor([T0], dtype=torch.float64))[0][0]
    assert at_reference.tolist() == [1.0, *[0.0] * (values.shape[1] - 1)]


@thermal_networks
@settings(max_examples=3, deadline=None)
@given(temperature=temperatures, seed=st.integers(0, 100))
def test_parameter_derivatives_are_slopes_of_bead_energies(
    case: Case, temperature: float, seed: int
) -> None:
    network, inputs, step = make(case), beads(6, seed), 1e-2
    ends = [call(network, at(inputs, temperature + s * step)) for s in (1.0, -1.0)]
    _, _, derivatives = call(network, at(inputs, temperature))
    slope = (ends[0][0] - ends[1][0]) / (2 * step)
    assert slope.abs().max() > 1e-7
    close(derivatives[0] * T0, slope * T0, 1e-6)


@thermal_networks
def test_maxwell_relation(case: Case) -> None:
    """The force's derivative by the temperature is minus the gradient of the slope of energy."""
    network, inputs, temperature = make(case), beads(6, 2), 345.0
    step = 1e-2
    ends = [call(network, at(inputs, temperature + s * step))[1] for s in (1.0, -1.0)]
    by_temperature = T0 * (ends[0] - ends[1]) / (2 * step)
    rng = np.random.default_rng(0)
    for _ in range(3):
        direction = torch.from_numpy(rng.normal(size=inputs.positions.shape))
        small = 1e-5
        slopes = [
            call(network, at(moved(inputs, inputs.positions + s * small * direction), temperature))[
                2
            ][0].sum()
            for s in (1.0, -1.0)
        ]
        mixed = T0 * float(slopes[0] - slopes[1]) / (2 * small)
        scale = float((by_temperature * direction).abs().sum())
        found = float((by_temperature * direction).sum())
        assert found == pytest.approx(-mixed, abs=1e-4 * scale)


@thermal_networks
def test_frames_of_different_temperatures_share_a_call(case: Case) -> None:
    network, frames = make(case), conformations(3)
    template = PairTemplate.from_topology(BONDS, [0] * 6)
    each = torch.tensor([280.0, T0, 390.0], dtype=torch.float64)
    channels = network.molecule_channels(frames, TYPES, template)
    energies, slopes = network.at_temperatures(channels, each)
    shifts = torch.zeros((30, 3), dtype=torch.float64)
    for frame, temperature, energy, slope in zip(frames, each, energies, slopes, strict=True):
        arguments = (frame, TYPES, template.directed, shifts, template.directed_edge_types)
        single = network(*arguments, temperature[None])
        close(energy.detach(), single[0].sum())
        close(slope.detach(), single[2].sum())


@thermal_networks
def test_names_of_plain_weights_stay(case: Case) -> None:
    """What is not read out of the features has the names and shapes of the plain network."""
    plain = make(Case(case.name)).state_dict()
    thermal = make(case).state_dict()
    assert set(plain) == {name for name in thermal if not name.startswith("thermal.")}
    assert "thermal" not in make(Case(case.name)).hyperparameters


def test_wrong_options_of_the_temperature() -> None:
    make_one = {"bead_types": BEAD_TYPES, "cutoff": CUTOFF}
    for options, message in (
        ({"thermal": "linear"}, "thermal is 'linear'.*response, input"),
        ({"thermal": "response"}, "cannot be built.*reference_temperature"),
        ({"thermal": "response", "reference_temperature": 0.0}, "must be positive.*0.0"),
        (
            {"thermal": "input", "reference_temperature": T0, "functions": 0},
            "functions of at least 1",
        ),
        ({"reference_temperature": T0}, "cannot be built.*reference_temperature"),
    ):
        with pytest.raises(ValueError, match=message):
            models.build("schnet", **make_one, **options)


@pytest.mark.parametrize("runner", ["torchscript", "native"])
@pytest.mark.parametrize("kind", ["response", "input"])
def test_exported_model_is_driven_by_the_context_parameter(
    kind: str, runner: str, tmp_path: Path
) -> None:
    """Energy parameter derivative of the Context against differences of W in T, and the card."""
    import openmm
    from openmmcg import CGForce

    network = make(Case("schnet", {"thermal": kind, "reference_temperature": T0}))
    path = export.save(
        network, tmp_path / "t.cg.pt", temperature=T0, temperature_range=(280.0, 360.0)
    )
    export.verify(path, network)
    card = export.read_card(path)
    assert card["temperature"] == T0 and card["temperature_range"] == [280.0, 360.0]
    assert card["architecture"]["hyperparameters"]["thermal"] == kind
    system, force = openmm.System(), CGForce(path)
    for bead, kind_of_bead in enumerate(TYPES.tolist()):
        system.addParticle(10.0)
        force.addBead(bead, None, kind_of_bead)
    for i, j in BONDS:
        force.addBond(i, j)
    force.addEnergyParameterDerivative(CGForce.Temperature())
    force.setProperty("runner", runner)
    system.addForce(force)
    platform = openmm.Platform.getPlatform("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(1e-3), platform)
    context.setPositions(conformations(1)[0].numpy())
    assert force.getContextInfo(context)["runner"] == runner

    def energy(temperature: float) -> tuple[float, float]:
        context.setParameter(CGForce.Temperature(), temperature)
        state = context.getState(energy=True, parameterDerivatives=True)
        slope = state.getEnergyParameterDerivatives()[CGForce.Temperature()]
        return state.getPotentialEnergy()._value, slope

    for temperature in (300.0, T0, 350.0):
        ends = [energy(temperature + s * 0.01)[0] for s in (1.0, -1.0)]
        slope = energy(temperature)[1]
        assert abs(slope) > 1e-6
        assert T0 * slope == pytest.approx(T0 * (ends[0] - ends[1]) / 0.02, abs=1e-5)


def test_disagreeing_temperatures_are_a_warning(capfd: pytest.CaptureFixture[str]) -> None:
    """Time steps at another temperature than the thermostat's warn once; energies alone do not."""
    import openmm
    from openmmcg import CGForce

    network = make(Case("schnet", {"thermal": "response", "reference_temperature": T0}))
    model = export.to_bytes(network, temperature=T0, temperature_range=(280.0, 360.0))
    system, force = openmm.System(), CGForce(model)
    for _ in range(2):
        system.addParticle(1e6)
    force.addBead(0, None, 0)
    force.addBead(1, None, 1)
    system.addForce(force)
    platform = openmm.Platform.getPlatform("Reference")
    integrator = openmm.LangevinMiddleIntegrator(310.0, 1.0, 1e-4)
    context = openmm.Context(system, integrator, platform)
    context.setPositions([[0.0, 0.0, 0.0], [0.5, 0.0, 0.0]])
    context.setParameter(CGForce.Temperature(), 400.0)
    context.getState(energy=True)
    assert "warning" not in capfd.readouterr().err
    integrator.step(2)
    text = capfd.readouterr().err
    assert "thermostat keeps 310 K, but CGTemperature is 400 K" in text
    assert "trained at 280 to 360 K" in text and text.count("warning") == 2
    context = openmm.Context(system, openmm.NoseHooverIntegrator(T0, 1.0, 1e-4), platform)
    context.setPositions([[0.0, 0.0, 0.0], [0.5, 0.0, 0.0]])
    context.getIntegrator().step(1)
    assert "warning" not in capfd.readouterr().err
