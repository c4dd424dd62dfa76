# SPDX-License-Identifier: MIT
# A thin front of CMake's presets; see `make help`.
PREFIX ?= /usr/local
DESTDIR ?=
ONLY ?= all
SEEDS ?= 10000
FIRST ?= 1
JOBS ?= $(shell nproc)
PRESET = default

.PHONY: all deps demo check oracle bench lint install clean help

all: build/build.ninja
	cmake --build --preset $(PRESET) -j $(JOBS)

build/build.ninja: CMakePresets.json
	scripts/deps build
	cmake --preset $(PRESET) -DCMAKE_INSTALL_PREFIX=$(PREFIX)

demo: all
	scripts/demo

check:
	scripts/deps build check
	scripts/check

oracle: all
	/usr/bin/python3 tests/oracle/oracle.py --first $(FIRST) --seeds $(SEEDS)

bench:
	scripts/deps build check bench
	$(MAKE) all
	/usr/bin/python3 bench/run.py --area $(ONLY) $(if $(filter all,$(ONLY)),,--keep) --report bench/RESULTS.md --out build/bench/results.json

lint:
	scripts/deps build check
	scripts/lint

install: all
	DESTDIR=$(DESTDIR) cmake --install build --prefix $(PREFIX)

deps:
	scripts/deps build check bench

clean:
	rm -rf build

help:
	@echo "make            build the command (build/bin/varve) and the libraries (build/lib)"
	@echo "make demo       show varve run on real programs"
	@echo "make check      build every variant and run all tests"
	@echo "make oracle     run random programs in a world and in CPython [SEEDS=1000000] [FIRST=1]"
	@echo "make bench      measure against other allocators and tracers [ONLY=heap|trace|gc]"
	@echo "make lint       check formatting, layers, exported symbols"
	@echo "make install    install [PREFIX=/usr/local] [DESTDIR=]"
	@echo "make deps       install the Debian packages that all of this needs"
	@echo "make clean      remove build/"
	@echo "All but install, clean and help install missing Debian packages (as root or with sudo)."
