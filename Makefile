# make          build the programs (target/release)
# make demo     the main job, shown on real input
# make check    everything that CI runs
# make check-host  the units and the package on a booted systemd (part of check)
# make check-servers  dumps, restores and drills on PostgreSQL 14, 16, 17 and 18 (not part of check)
# make check-foreign ARCH=arm64   builds that package and runs its programs under qemu (not part of check)
# make bench    ours against the stock tools
# make completions   for bash, zsh and fish (target/completions)
# make deb      the Debian package (target/package/debian) [ARCH=arm64]
# make rpm      the RPM package (target/package/rpm) [ARCH=arm64]
# make reproducible  both twice, built elsewhere and at another time: the same bytes
# make install  for systems without a package [DESTDIR= PREFIX=/usr/local]

CARGO ?= cargo
PREFIX ?= /usr/local
DESTDIR ?=
PROGRAMS := $(notdir $(wildcard bins/sg-*))

.PHONY: all build demo check check-host check-servers check-foreign test lint bench completions deb rpm package-build reproducible links notices install \
	install-files clean

all: build

# One file under the name of each program.
build:
	$(CARGO) build --release --locked --bin sg-toolkit
	for program in $(PROGRAMS); do ln -sfn sg-toolkit "target/release/$$program" || exit 1; done

demo:
	tests/scripts/install-needs demo
	$(MAKE) build
	tests/demo/run target/release

check:
	tests/scripts/install-needs check
	$(MAKE) lint test check-host

# The units and the package on a booted systemd; where this host can't boot one, it says why. SG_HOST_SUITES are
# the releases of Debian to try: 'bookworm trixie'.
SG_HOST_SUITES ?= bookworm
check-host:
	-tests/scripts/install-needs host
	-tests/scripts/install-needs packages
	-@command -v cargo-deb >/dev/null || $(CARGO) install --locked --quiet cargo-deb
	tests/host/sandbox
	tests/host/packages
	for suite in $(SG_HOST_SUITES); do tests/host/run $$suite || exit 1; done

check-servers:
	-tests/scripts/install-needs host
	tests/host/servers $(SG_SERVER_SUITES)

check-foreign: deb
	tests/host/foreign $(PACKAGE_DIR)/debian/sg-toolkit_*_$(ARCH).deb

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --lib --quiet
	shellcheck -x tests/scripts/* tests/demo/run tests/host/rig tests/host/run tests/host/pack tests/host/sandbox tests/host/packages tests/host/foreign tests/host/servers packaging/rpm/build packaging/reproducible packaging/examples/deploy \
		tests/host/inside/nights packaging/deb/p* .ci/run
	for page in man/*.[0-9]; do mandoc -T lint -W warning "$$page" || exit 1; done

test:
	$(CARGO) test --locked
	SG_DEMO_SCALE=1 tests/demo/run target/debug >/dev/null

bench:
	tests/scripts/install-needs bench
	$(MAKE) build
	tests/bench/run $(BENCH)

# Made from the programs' own definitions, so they are always of the version that they lie beside. Without the
# optimizer's care: nobody gets the program that writes them.
completions:
	$(CARGO) build --locked --quiet --bin completions
	target/debug/completions target/completions

# Two builds of one commit give the same package: no path and no time of the build is in it. `make reproducible`
# builds twice and compares; it takes two builds' time.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || date +%s)
CARGO_PATH := $(or $(CARGO_HOME),$(HOME)/.cargo)
PACKAGE_FLAGS = --remap-path-prefix=$(CURDIR)=sg-toolkit --remap-path-prefix=$(CARGO_PATH)=cargo
PACKAGE_CFLAGS = -ffile-prefix-map=$(CURDIR)=sg-toolkit -ffile-prefix-map=$(CARGO_PATH)=cargo

# For another processor: rustup target add aarch64-unknown-linux-gnu; apt-get install gcc-aarch64-linux-gnu
HOST_ARCH := $(if $(filter aarch64,$(shell uname -m)),arm64,amd64)
ARCH ?= $(HOST_ARCH)
MACHINE := $(if $(filter arm64,$(ARCH)),aarch64,x86_64)
TRIPLE := $(MACHINE)-unknown-linux-gnu
CROSS := $(if $(filter-out $(HOST_ARCH),$(ARCH)),CC_$(subst -,_,$(TRIPLE))=$(MACHINE)-linux-gnu-gcc \
	CARGO_TARGET_$(shell echo $(TRIPLE) | tr a-z- A-Z_)_LINKER=$(MACHINE)-linux-gnu-gcc)
PACKAGE_DIR := target/package
PACKAGE_ENV = SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) RUSTFLAGS="$(PACKAGE_FLAGS)" CFLAGS="$(PACKAGE_CFLAGS)" CARGO_TARGET_DIR=$(PACKAGE_DIR) $(CROSS)

# Whose code is in the programs, and on which terms.
notices:
	mkdir -p target/notices
	$(CARGO) build --locked --quiet --bin notices
	target/debug/notices packaging/deb/copyright $(TRIPLE) target/notices/copyright

package-build: completions links notices
	$(PACKAGE_ENV) $(CARGO) build --release --locked --bin sg-toolkit --target $(TRIPLE)

deb: package-build
	@command -v cargo-deb >/dev/null || { echo "hint: cargo install --locked cargo-deb" >&2; exit 1; }
	$(PACKAGE_ENV) $(CARGO) deb --no-build --locked --no-dbgsym --target $(TRIPLE) --output $(PACKAGE_DIR)/debian/

rpm: package-build
	SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) packaging/rpm/build $(PACKAGE_DIR)/$(TRIPLE)/release/sg-toolkit $(PACKAGE_DIR)/rpm

reproducible:
	packaging/reproducible

# The names by which the one program is called.
links:
	mkdir -p target/links
	for program in $(PROGRAMS); do ln -sfn sg-toolkit "target/links/$$program" || exit 1; done

# Into PREFIX what runs and is read, into /etc and /usr/lib what systemd looks for nowhere else.
install: build completions links notices
	$(MAKE) install-files
	@[ -n "$(DESTDIR)" ] || echo "now: systemd-sysusers && systemd-tmpfiles --create && journalctl --update-catalog && systemctl daemon-reload"

PROGRAM ?= target/release/sg-toolkit
install-files:
	install -d "$(DESTDIR)$(PREFIX)/bin" "$(DESTDIR)$(PREFIX)/share/doc/sg-toolkit/examples" "$(DESTDIR)/etc/sg"
	install -m 755 "$(PROGRAM)" "$(DESTDIR)$(PREFIX)/bin/sg-toolkit"
	cp -P target/links/* "$(DESTDIR)$(PREFIX)/bin"
	for page in man/*.[0-9]; do install -D -m 644 -t "$(DESTDIR)$(PREFIX)/share/man/man$${page##*.}" "$$page"; done
	for file in $$(cd target/completions && find . -type f); do \
		install -D -m 644 "target/completions/$$file" "$(DESTDIR)$(PREFIX)/share/$$file" || exit 1; \
	done
	install -D -m 644 -t "$(DESTDIR)/usr/lib/systemd/system" units/*
	install -D -m 644 -t "$(DESTDIR)/usr/lib/systemd/system-preset" packaging/system-preset/*
	install -D -m 644 -t "$(DESTDIR)/usr/lib/systemd/catalog" packaging/catalog/*
	install -D -m 644 -t "$(DESTDIR)/usr/lib/sysusers.d" packaging/sysusers.d/*
	install -D -m 644 -t "$(DESTDIR)/usr/lib/tmpfiles.d" packaging/tmpfiles.d/*
	install -D -m 644 -t "$(DESTDIR)$(PREFIX)/share/sg-toolkit" packaging/schema/*
	install -m 644 target/notices/copyright "$(DESTDIR)$(PREFIX)/share/doc/sg-toolkit"
	install -m 644 packaging/examples/* "$(DESTDIR)$(PREFIX)/share/doc/sg-toolkit/examples"
	install -D -m 644 -t "$(DESTDIR)$(PREFIX)/share/sg-toolkit/monitoring" packaging/monitoring/*
	[ -e "$(DESTDIR)/etc/sg/sg.conf" ] || install -m 644 packaging/conf/sg.conf "$(DESTDIR)/etc/sg"

clean:
	$(CARGO) clean
