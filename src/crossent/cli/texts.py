"""What ``crossent --help`` and the commands' ``--help`` say.

A paragraph that begins with a backspace keeps its line breaks: the convention of typer and click.
"""

__all__ = ["CROSSENT", "EVALUATE", "EXPORT", "FIT", "PREDICT"]

CROSSENT = """\b
Examples:
  crossent fit digits --model digits.skops --report digits.html
  crossent fit flowers.csv --target species --model flowers.skops
  crossent evaluate flowers.skops more_flowers.csv
  crossent export flowers.skops flowers.onnx
  crossent probe train.npy --labels y.npy --report probe.html
  crossent predict flowers.skops new_flowers.csv --output classes.csv
  crossent calibrate flowers.skops new_flowers.csv --model flowers2.skops
  crossent rank votes.csv --left model_a --right model_b --outcome winner
  crossent code encode digits.skops digits --output digits.cel
  crossent datasets
  crossent claims S34

Softmax regression, fitted to a certified optimum, evaluated, explained and reported.

\b
Answers go to stdout, everything else to stderr. Exit codes:
  0    done
  1    the data, a file or an option's value cannot be used; stderr says why
  2    the command line itself is wrong
  3    fit: all was written, but the tolerance was not reached
  130  Ctrl-C; after the first one fit still writes the best model so far
"""

FIT = """\b
Fit a softmax regression, certify it, test it, save it and report on it.

\b
Examples:
  crossent fit digits --model digits.skops --report digits.html
  crossent fit train.csv --target species --test new.csv --model m.skops
  crossent fit matches.csv --target result --drop score --as season=category --report r.html
  crossent fit faces.csv --target-columns happy,sad,angry --drop-unlabelled
  crossent fit photographs --image-size 32x32 --model m.skops

A table with words, dates or gaps is encoded; the output and the report say how. With --Cs the
penalty is chosen by cross-validation.

Ctrl-C ends the fit after the running pass and keeps the best model so far, marked as not
converged; a second Ctrl-C aborts, and nothing is written.
"""

EVALUATE = """\b
Cross-entropy and accuracy of a saved model on labelled rows.

\b
Example:
  crossent evaluate flowers.skops more_flowers.csv --target species
"""

EXPORT = """\b
A saved model in another form: ONNX, bare weights, or a card that describes it.

\b
Examples:
  crossent export flowers.skops flowers.onnx --dtype float64
  crossent export flowers.skops flowers.safetensors
  crossent export flowers.skops README.md --data more_flowers.csv

ONNX gives log_probabilities, probabilities and label. The weights come with a JSON file of the same
name: classes, features, formula, certificate.
"""

PREDICT = """\b
Class and probabilities of each row; its surprisal in nats where its class is known.

\b
Examples:
  crossent predict flowers.skops new_flowers.csv
  crossent predict digits.skops digits --json | head

A table may come with the column of classes or without it.
"""
