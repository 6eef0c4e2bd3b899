"""The commands explain and audit: what the gates do with one photo, and what they are worth over many."""

import json

from sevis.cli.data import Arguments, load_network, number_classes, open_data, say_hidden
from sevis.errors import SevisError


def explain_command(arguments: Arguments) -> None:
    """Explain one image, as text, JSON or HTML."""
    from sevis.analysis.dead_gates import dead_sentences
    from sevis.data.image_formats import MAX_BYTES, read_image
    from sevis.experiments.explanation import explain

    if arguments.image.exists() and not arguments.image.is_file():
        raise SevisError(f"{arguments.image} is a directory or a device: name the file of a picture")
    with arguments.image.open("rb") as file:
        image = read_image(file.read(MAX_BYTES + 1))  # no more: whatever it is, it may never end
    if arguments.html:
        from sevis.reports.explanation import explanation_html
    explanation = explain(load_network(arguments), image)
    if arguments.html:
        explanation_html(explanation, arguments.html)
    if arguments.json:
        print(json.dumps(explanation.as_json()))
        return
    for name, probability in explanation.top():
        print(f"{probability:6.1%}  {name}")
    print("block    channels  mean s   min s   max s")
    for site, scale in explanation.scale.items():
        print(f"{site:8} {len(scale):8} {scale.mean():7.3f} {scale.min():7.3f} {scale.max():7.3f}")
    print("".join(f"{sentence}\n" for sentence in dead_sentences(explanation.dead, blocks=len(explanation.sites))), end="")


def audit_command(arguments: Arguments) -> None:
    """Print the top-1 with opened, levelled, frozen and shuffled gates and what each step adds, and write it into a file."""
    from sevis.analysis.audit import STEPS
    from sevis.analysis.audit_words import change_words, describe_audit, last_stage_answer, last_stage_question, reading
    from sevis.experiments.audit import audit

    ready = load_network(arguments)
    out = arguments.out or ready.card.place("audit")
    if out.is_dir():  # now, not after minutes of forward passes
        raise SevisError(f"{out} is a directory: name the file to write, such as {out / 'audit.json'}")
    dataset = number_classes(open_data(arguments, arguments.split, labels=arguments.labels), ready.card)
    if arguments.per_class is not None:
        dataset = dataset.first(arguments.per_class)
    result = audit(ready, dataset, batch_size=arguments.batch_size, seed=arguments.seed)
    result.save(out)
    print(describe_audit(result))
    print("top-1 with open gates (s = 1), and what each step adds, in points, with 95 % intervals over photos; then, that of shuffling")
    print(f"{'blocks':8}{'open':>8}" + "".join(f"{column:>25}" for column in (*STEPS, "shuffled")))
    for address, steps in result.steps.items():
        outcomes = result.outcomes[address]
        cells = "".join(f"{change_words(part):>25}" for part in (*steps.values(), outcomes["shuffled"]))
        print(f"{address:8}{100 * outcomes['open'].top1:>6.1f} %{cells}")
    print(reading(result))
    print(last_stage_question(result), last_stage_answer(result))
    print(out)
    if out == ready.card.place("audit"):
        say_hidden(ready.card, "audit")
