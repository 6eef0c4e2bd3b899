"""The panel that trains a tiny network, of the visitor's own choice, while the visitor looks; the results are this visitor's alone."""

import streamlit as st

from sevis.ablations.report import VARIES
from sevis.errors import SevisError
from sevis.figures.networks.training_curves import LiveCurve, live_curves
from sevis.pages.ablations.live_data import TrialData, find_trial_data
from sevis.pages.ablations.live_training import ALONE, RATIOS, STAGES, TRAINING, Trial, TrialChoice, TrialOutcome
from sevis.pages.architectures.designs import GATES, PLACEMENTS, SQUEEZES
from sevis.pages.shared.controls import choose_one
from sevis.pages.shared.show import show, show_error
from sevis.pages.shared.turns import Turns, describe_row, shared_turns

RUNNING, FINISHED, ENDED = "trial", "trials", "trial-ended"
KEPT = 8  # results of a visitor: as many as there are colours
PAUSE = 2.0  # seconds between two drawings: after each, Streamlit collects garbage, which takes a tenth of a second from all threads
WITH, WITHOUT = "With SE", "Plain"


@st.fragment
def show_training() -> None:
    """Show the controls, the run that is going on, and the results so far."""
    data = find_trial_data()
    st.markdown(
        f"Train ResNet-18 at a quarter of its width here and now, with an SE block of your choice or without SE: {data.epochs} "
        f"epochs on {data.about}. It takes {data.time} on a CPU. Other seeds give other numbers: train with two seeds to see how "
        "much of a difference is noise."
    )
    choice = _choose()
    trial: Trial | None = st.session_state.get(RUNNING)
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        going = trial is not None
        st.button("Train", key="train", type="primary", icon=":material/play_arrow:", disabled=going, on_click=_start, args=(choice, data))
        st.caption(f"A run lasts as long as this page is open. It ends {ALONE:.0f} seconds after you leave, and nothing of it is kept.")
    if trial:
        st.fragment(_watch, run_every=PAUSE)(data)
        return
    ended = st.session_state.get(ENDED)
    if isinstance(ended, SevisError):
        show_error(ended)
    elif ended:
        st.info(str(ended), icon=":material/stop:")
    _show_finished(data)


def _choose() -> TrialChoice:
    """Show the controls, whose state is kept in the address, and return what is chosen."""
    with st.container(horizontal=True, gap="medium"):
        network = choose_one("Network", [WITH, WITHOUT], key="try_network", wrap=True)
        seed = st.number_input(
            "Seed",
            0,
            999,
            0,
            key="try_seed",
            bind="query-params",
            width=130,
            help="The seed of the weights, of the order of the images and of the augmentation.",
        )
    if network == WITHOUT:
        return TrialChoice(gated=False, seed=int(seed))
    with st.container(horizontal=True, gap="medium"):
        reduction = st.select_slider("Reduction ratio r", RATIOS, 16, key="try_r", bind="query-params", width=260)
        squeeze = choose_one("Squeeze", list(SQUEEZES), key="try_squeeze", titles=SQUEEZES, wrap=True)
        gate = choose_one("Gate", list(GATES), key="try_gate", titles=GATES, wrap=True)
        placements = [name for name in PLACEMENTS if name != "3x3"]
        placement = choose_one("Placement", placements, key="try_placement", titles=PLACEMENTS, wrap=True)
        stages = st.multiselect("Stages with SE", STAGES, list(STAGES), key="try_stages", bind="query-params", width=330)
    wanted = tuple(stage for stage in STAGES if stage in stages)
    return TrialChoice(reduction=reduction, squeeze=squeeze, gate=gate, placement=placement, stages=wanted, seed=int(seed))


def _start(choice: TrialChoice, data: TrialData) -> None:
    if RUNNING in st.session_state:  # a second click, before the first has disabled the button
        return
    st.session_state.pop(ENDED, None)
    try:
        st.session_state[RUNNING] = Trial(choice, data, row=_trainings(), turns=shared_turns())
    except SevisError as error:
        st.session_state[ENDED] = error


@st.cache_resource(show_spinner=False)
def _trainings() -> Turns:
    """Return the row of all visitors' runs, of which one is trained at a time."""
    return Turns(1)


def _watch(data: TrialData) -> None:
    """Show how far the run is; at its end the whole page runs, which also ends the repetition."""
    trial: Trial | None = st.session_state.get(RUNNING)
    if trial is None:
        st.rerun()
    trial.look()
    if trial.over:
        _finish(trial)
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.progress(trial.done, text=_describe(trial))
        st.button("Cancel", key="cancel-trial", on_click=trial.cancel, icon=":material/close:")
    _show_curves(data, trial)


def _finish(trial: Trial) -> None:
    """Keep what came of a run that is over."""
    del st.session_state[RUNNING]
    if trial.outcome:
        st.session_state[FINISHED] = [*_finished(), trial.outcome][-KEPT:]
    else:
        st.session_state[ENDED] = trial.error or f"{trial.title}: the run ended early, because {trial.ended}; nothing of it is kept."


def _describe(trial: Trial) -> str:
    """Return what the run is doing, in words."""
    if trial.before:
        return describe_row(trial.before, "Another network is being trained")
    left = trial.left
    time = f", about {left:.0f} seconds left" if trial.phase == TRAINING and left is not None else ""
    return f"{trial.title}: {trial.phase.lower()} …{time}"


def _show_finished(data: TrialData) -> None:
    outcomes = _finished()
    if not outcomes:
        return
    _show_curves(data, None)
    st.dataframe(
        [_cells(number, outcome) for number, outcome in enumerate(outcomes, 1)], hide_index=True, width="stretch", height="content"
    )
    st.caption(
        "Top-1 of the final weights on the validation images, with a 95 % interval over these images (Wilson); the interval does "
        f"not include the effect of other seeds. {VARIES}; “frozen” is top-1 with every s held at its mean over the training "
        f"images. Only you see these results (the last {KEPT}), until you close the page."
    )
    st.button("Forget these results", key="forget-trials", on_click=_forget, icon=":material/undo:")


def _show_curves(data: TrialData, trial: Trial | None) -> None:
    """Show the curves of all finished runs, and of one that is going on."""
    outcomes = _finished()
    curves = {_number(number, outcome.title): outcome.curve for number, outcome in enumerate(outcomes, 1)}
    going: LiveCurve | None = trial.curve if trial else None
    if trial and going:
        curves[_number(len(outcomes) + 1, trial.title)] = going
    if not curves:
        return
    last = trial or outcomes[-1]
    show(live_curves(curves, epochs=data.epochs, source=f"on {last.device}, {last.date}"), key="trial-curves")


def _cells(number: int, outcome: TrialOutcome) -> dict[str, str]:
    low, high = outcome.interval
    return {
        "Run": _number(number, outcome.title),
        "Top-1": f"{outcome.top1:.1%} ({low:.1%} to {high:.1%})".replace("%", " %"),
        "s varies by": "–" if outcome.alive is None else f"{outcome.alive:.3f}",
        "Frozen": "–" if outcome.frozen is None else f"{outcome.frozen:.1%}".replace("%", " %"),
        "Parameters": f"{outcome.parameters:,}",
        "Images": f"{outcome.images[0]:,} trained, {outcome.images[1]:,} scored, {outcome.classes} classes",
        "Seconds": f"{outcome.seconds:.0f}",
        "Device": outcome.device,
        "Date": outcome.date,
    }


def _number(number: int, title: str) -> str:
    return f"{number}: {title}"


def _finished() -> list[TrialOutcome]:
    return list(st.session_state.get(FINISHED, ()))


def _forget() -> None:
    st.session_state.pop(FINISHED, None)
