# A wrapper around plain pip, snakemake and pytest calls. make help lists the targets.
PYTHON ?= python3
CORES ?= 2
BIN := .venv/bin
# Single-threaded jobs side by side beat one job with many threads at these sizes.
RUN := PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --cores $(CORES)

.PHONY: help demo demo-seeds demo-faithful collage collage-small ablation test test-docs test-reruns test-slurm test-faults bench lint lock clean

# This list.
help:
	@awk '/^#/ { said = said " " substr($$0, 3); next } \
		/^[a-z][a-z-]*:/ { sub(":.*", ""); printf "%-15s%s\n", $$0, said } { said = "" }' Makefile

# The whole process on simulated videos: five to eight minutes on two cores.
demo: $(BIN)/installed
	@# Snakemake ends with the table, but where nothing was to be done.
	started=$$(mktemp) && trap "rm $$started" EXIT && $(RUN) && \
		{ [ results/demo/table.log -nt $$started ] || cat results/demo/table.log; }

# The same with the paper's own settings.
demo-faithful: $(BIN)/installed
	$(RUN) --configfile configs/demo-faithful.yaml

# Both with seeds 0, 1, 2 of simulation and training together, and what came of it: half an hour.
demo-seeds: $(BIN)/installed
	$(RUN) --configfile configs/demo-seeds.yaml -- ablation
	for name in default faithful; do \
		$(BIN)/python benchmarks/expectations.py results/process.demo.$$name.?/table.csv \
			--means results/process/$$name-means.csv || exit 1; \
	done

# The process on real vectors of YouTube-8M (docs/data.md, the collage).
collage: $(BIN)/installed data/yt8m-collage
	$(RUN) --configfile configs/collage.yaml

# A short version of it.
collage-small: $(BIN)/installed data/yt8m-collage
	$(RUN) --configfile configs/collage.yaml configs/collage-small.yaml

# What the settings are worth, six data sets and three seeds: the whole process, then a short one with
# one setting changed at a time. A night or more on two cores; docs/results.md has what has been run.
ablation: $(BIN)/installed data/yt8m-collage
	for name in ablation ablation-settings ablation-teacher; do \
		$(RUN) --configfile configs/$$name.yaml -- ablation || exit 1; \
	done

data/yt8m-collage:
	@echo "Unpack the collage archive first: tar xzf yt8m-collage.tar.gz -C data"; false

# All tests but the four slower suites below: ten minutes on two cores.
test: $(BIN)/installed
	$(BIN)/python -m pytest --numprocesses $(CORES) --dist loadfile --durations 15

# What the documentation shows: every command, the benchmarks at a tiny size, own features, a model and
# an estimator of one's own, the paper's settings and other options of training, E-step and ensemble.
test-docs: $(BIN)/installed
	$(BIN)/python -m pytest -m docs -rs --numprocesses $(CORES) --dist loadfile

# What is made again after a change, and whether it equals a run from scratch. Minutes more.
test-reruns: $(BIN)/installed
	$(BIN)/python -m pytest -m reruns -rs --numprocesses $(CORES) --dist loadfile

# The whole workflow on a real SLURM of one node (Debian: apt-get install slurm-wlm munge).
test-slurm: $(BIN)/installed
	$(BIN)/python -m pytest -m slurm -rs

# The demo killed at thirty random moments, damaged records, odd names, full disks (these as root). Half
# an hour.
test-faults: $(BIN)/installed
	$(BIN)/python -m pytest -m faults -rs

BENCHMARKS := reader batches steps estep metric submission memory plan page demo gpu
# What this machine can run, against named baselines: results/benchmarks/*.json and one table.
bench: $(BIN)/installed
	-$(MAKE) .venv-bench/installed
	for name in $(BENCHMARKS); do $(BIN)/python benchmarks/$$name.py || exit 1; done
	$(BIN)/python benchmarks/table.py

# TensorFlow, which benchmarks and one test compare with.
.venv-bench/installed: benchmarks/requirements.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/pip install --quiet --requirement benchmarks/requirements.txt
	touch $@

# ruff, snakefmt and snakemake --lint.
lint: $(BIN)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --lint

# Renew requirements.lock: the newest versions that requirements.in allows.
lock:
	rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet --requirement requirements.in
	echo "# Every package of the environment, made from requirements.in by: make lock" > $@.tmp
	@# Without the suffix of a build (+cpu), so that each platform takes its own.
	.venv-lock/bin/pip freeze --all --exclude pip | sed 's/+[a-z0-9]*$$//' >> $@.tmp
	mv $@.tmp requirements.lock && rm -rf .venv-lock

# Removes the results of demo, demo-faithful and collage, and every index and all simulated records,
# those of your own experiments too.
clean:
	rm -rf results/demo results/demo-faithful results/collage results/data results/index

$(BIN)/installed: requirements.lock
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --requirement requirements.lock
	touch $@
