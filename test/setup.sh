#!/usr/bin/env bash
# Installs from Debian what the tests need beside Go: the collectors that judge
# us, the browser that looks at the status page, what judges packages, and a C
# compiler for the race detector. It installs only what is missing, works as root or
# through sudo, and fails when something is missing at the end.
set -euo pipefail

# Debian puts nfacctd where only root looks.
PATH=$PATH:/usr/sbin:/sbin

# program:package
peers=(nfcapd:nfdump nfdump:nfdump nfacctd:pmacct tshark:tshark ip:iproute2 jq:jq promtool:prometheus systemd-analyze:systemd shellcheck:shellcheck chromium:chromium
    lintian:lintian rpm:rpm rpmlint:rpmlint man:man-db groff:groff-base mmdebstrap:mmdebstrap)

say() { echo "setup: $*"; }
die() {
    echo "setup: error: $*" >&2
    exit 1
}

# can_compile says whether there is a C compiler that can also link, which the
# race detector needs: a gcc without the C library's headers does not do.
can_compile() {
    local dir rc=0
    dir=$(mktemp -d)
    printf '#include <stdlib.h>\nint main(void) { return 0; }\n' >"$dir/a.c"
    gcc -o "$dir/a" "$dir/a.c" >/dev/null 2>&1 || rc=1
    rm -rf "$dir"
    return $rc
}

missing=()
for peer in "${peers[@]}"; do
    program=${peer%%:*} package=${peer##*:}
    command -v "$program" >/dev/null && continue
    [[ " ${missing[*]} " == *" $package "* ]] || missing+=("$package")
done
can_compile || missing+=(gcc libc6-dev)

if ((${#missing[@]} == 0)); then
    say "nothing to install"
else
    command -v apt-get >/dev/null || die "missing: ${missing[*]}; there is no apt-get here, install them by hand"
    root=()
    if ((EUID != 0)); then
        command -v sudo >/dev/null || die "missing: ${missing[*]}; run this as root, or install sudo"
        root=(sudo)
    fi
    apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0)

    # Some of the packages bring services that would listen from now on: where
    # nothing else says so, nothing is started while they are installed.
    policy=/usr/sbin/policy-rc.d
    if [[ ! -e $policy ]]; then
        trap '"${root[@]}" rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$policy" >/dev/null
        "${root[@]}" chmod 755 "$policy"
    fi

    # A machine's package lists may be absent, or too old to install from.
    say "installing ${missing[*]}"
    if ! "${apt[@]}" install -y --no-install-recommends "${missing[@]}"; then
        say "trying again with fresh package lists"
        "${apt[@]}" update
        "${apt[@]}" install -y --no-install-recommends "${missing[@]}" || die "apt-get could not install ${missing[*]}"
    fi

    # Nor shall they start when the machine does: the tests start collectors of
    # their own and want those ports.
    if [[ -d /run/systemd/system ]]; then
        units=()
        [[ " ${missing[*]} " != *" nfdump "* ]] || units+=(nfdump.service)
        [[ " ${missing[*]} " != *" pmacct "* ]] || units+=(nfacctd.service pmacctd.service sfacctd.service uacctd.service)
        [[ " ${missing[*]} " != *" prometheus "* ]] || units+=(prometheus.service)
        if ((${#units[@]})); then
            say "switching off the services that came with them: ${units[*]}"
            "${root[@]}" systemctl disable --now "${units[@]}" || say "could not switch them off: see to it by hand"
        fi
    fi
fi

for peer in "${peers[@]}"; do
    command -v "${peer%%:*}" >/dev/null || die "${peer%%:*} is missing although package ${peer##*:} was installed"
done
can_compile || die "gcc cannot build a program: the race detector would not work"

# first prints the first line of a program's words about itself. Some exit with
# an error when asked, and some write what does not matter here to standard error.
first() { { "$@" 2>/dev/null || true; } | sed -n 1p; }

say "nfdump   $(first nfdump -V)"
say "nfacctd  $(first nfacctd -V)"
say "tshark   $(first tshark --version 2>/dev/null)"
say "promtool $(first promtool --version)"
say "chromium $(first chromium --version)"
say "lintian  $(first lintian --version)"
say "rpmlint  $(first rpmlint --version)"
say "gcc      $(first gcc --version)"
