#!/usr/bin/env bash
# Builds a release into a folder: for each architecture a deb, an rpm, a tar.gz
# and a bill of materials, and SHA256SUMS of them all. "make dist" calls it.
#
#   packaging/build.sh DIR ARCH...      DIR is made anew
#   packaging/build.sh --version        say only which version it would be
#
# The same commit and the same Go give the same files, byte for byte: all times
# are SOURCE_DATE_EPOCH, nothing depends on the folder, the user or the umask.
# Without git, give PACKAGE_VERSION and SOURCE_DATE_EPOCH. MAINTAINER is who
# answers for it.
set -euo pipefail
export LC_ALL=C TZ=UTC GOWORK=off GOFLAGS=-buildvcs=false CGO_ENABLED=0
umask 022

die() {
    echo "packaging/build.sh: error: $*" >&2
    exit 1
}

cd "$(dirname "$0")/.."

# version makes one that deb and rpm take for later than the one before: the tag,
# or the last tag and how many commits came since.
version() {
    local tag since commit
    commit=$(git rev-parse --short=12 HEAD)
    if tag=$(git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null); then
        since=$(git rev-list --count "$tag..HEAD")
    else
        tag=v0.0.0 since=$(git rev-list --count HEAD)
    fi
    tag=${tag#v}
    tag=${tag//-/\~} # 1.0.0-rc1 comes before 1.0.0
    ((since == 0)) || tag+="+$since.g$commit"
    [[ -z $(git status --porcelain) ]] || tag+=.dirty
    echo "$tag"
}

if [[ $* == --version ]]; then
    version
    exit
fi
(($# >= 2)) || die "usage: packaging/build.sh DIR ARCH..."
mkdir -p "$1"
dist=$(cd "$1" && pwd)
shift

: "${PACKAGE_VERSION:=$(version)}"
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct)}"
: "${MAINTAINER:=flow2ipfix maintainers <maintainers@flow2ipfix.example>}"
export PACKAGE_VERSION SOURCE_DATE_EPOCH MAINTAINER
[[ $PACKAGE_VERSION =~ ^[0-9][A-Za-z0-9.+~]*$ ]] || die "PACKAGE_VERSION: want digits, letters, dots, + and ~, got \"$PACKAGE_VERSION\""

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
find "$dist" -mindepth 1 -delete

build() { # GOARCH OUTPUT
    GOOS=linux GOARCH=$1 go build -trimpath -ldflags "-s -w -X main.version=$PACKAGE_VERSION" -o "$2" ./cmd/flow2ipfix
}

# put FILE [MODE] installs standard input.
put() { install -D -m "${2:-0644}" /dev/stdin "$1"; }
packed() { gzip -9n | put "$1.gz"; }

# What a binary says of itself is said by one that runs here.
native=$work/flow2ipfix
build "$(go env GOHOSTARCH)" "$native"
inventory=$work/inventory
GOOS='' GOARCH='' go build -trimpath -o "$inventory" ./packaging/inventory
"$native" man 8 >"$work/flow2ipfix.8"
"$native" man 5 >"$work/flow2ipfix.yaml.5"
for shell in bash zsh fish; do "$native" completion "$shell" >"$work/$shell"; done

# common lays out what both packages have, below two folders, of which one has
# the documents.
common() { # ROOT DOCS ARCH
    local root=$1 docs=$2 arch=$3 doc=$2/usr/share/doc/flow2ipfix file
    put "$root/usr/bin/flow2ipfix" 0755 <"$work/$arch/flow2ipfix"
    put "$root/usr/lib/systemd/system/flow2ipfix.service" <systemd/flow2ipfix.service
    put "$root/usr/lib/sysusers.d/flow2ipfix.conf" <systemd/flow2ipfix.sysusers
    packed "$docs/usr/share/man/man8/flow2ipfix.8" <"$work/flow2ipfix.8"
    packed "$docs/usr/share/man/man5/flow2ipfix.yaml.5" <"$work/flow2ipfix.yaml.5"
    put "$root/usr/share/bash-completion/completions/flow2ipfix" <"$work/bash"
    put "$root/usr/share/fish/vendor_completions.d/flow2ipfix.fish" <"$work/fish"
    packed "$doc/third-party-notices" <"$work/$arch/notices"
    (cd examples && find . -type f -print0) | while IFS= read -r -d '' file; do
        put "$doc/examples/$file" <"examples/$file"
    done
}

# dated gives all below a folder the time of the source.
dated() { find "$1" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +; }

# package makes one of what lies below a folder. Where nfpm knows no variables,
# they are filled in before. Documents of an rpm are named one by one, so that it
# knows what they are, and folders that are its own, so that it removes them.
package() { # PACKAGER ROOT DOCS ARCH
    local packager=$1 root=$2 docs=$3 arch=$4 config=$work/nfpm.yaml file
    sed -e "s|\${ROOT}|$root|; s|\${SCRIPTS}|$work/$arch|; /@DOCS@/,\$d" packaging/nfpm.yaml >"$config"
    if [[ $packager == rpm ]]; then
        (cd "$docs" && find . -type f | sort) | while IFS= read -r file; do
            echo "  - { src: \"$docs/${file#./}\", dst: \"/${file#./}\", type: doc }"
        done >>"$config"
        {
            echo /usr/share/licenses/flow2ipfix
            (cd "$docs" && find ./usr/share/doc/flow2ipfix -type d | sed 's/^\.//' | sort)
        } | sed 's/.*/  - { dst: "&", type: dir, file_info: { mode: 0755 } }/' >>"$config"
    fi
    sed -e "1,/@DOCS@/d; s|\${SCRIPTS}|$work/$arch|" packaging/nfpm.yaml >>"$config"
    [[ $packager != rpm ]] || echo "changelog: $work/changelog.yaml" >>"$config"
    ARCH=$arch nfpm package --config "$config" --packager "$packager" --target "$dist/" >"$work/nfpm.log" || {
        cat "$work/nfpm.log" >&2
        die "nfpm could not make a $packager"
    }
}

"$inventory" changelog -form nfpm -version "$PACKAGE_VERSION-1" -epoch "$SOURCE_DATE_EPOCH" -maintainer "$MAINTAINER" CHANGELOG.md >"$work/changelog.yaml"

for arch; do
    echo "packaging/build.sh: $PACKAGE_VERSION for $arch"
    mkdir "$work/$arch"
    if [[ $arch == "$(go env GOHOSTARCH)" ]]; then
        cp "$native" "$work/$arch/flow2ipfix"
    else
        build "$arch" "$work/$arch/flow2ipfix"
    fi
    "$inventory" notices "$work/$arch/flow2ipfix" >"$work/$arch/notices"
    "$inventory" sbom -version "$PACKAGE_VERSION" -epoch "$SOURCE_DATE_EPOCH" "$work/$arch/flow2ipfix" \
        >"$dist/flow2ipfix_${PACKAGE_VERSION}_linux_$arch.cdx.json"

    { sed '/@SYSUSERS@/,$d' packaging/scripts/rpm-pre; grep -v '^#' systemd/flow2ipfix.sysusers; sed '1,/@SYSUSERS@/d' packaging/scripts/rpm-pre; } >"$work/$arch/rpm-pre"

    root=$work/$arch/deb
    common "$root" "$root" "$arch"
    put "$root/usr/share/zsh/vendor-completions/_flow2ipfix" <"$work/zsh"
    put "$root/usr/share/doc/flow2ipfix/copyright" <packaging/copyright
    put "$root/usr/share/lintian/overrides/flow2ipfix" <packaging/lintian-overrides
    packed "$root/usr/share/doc/flow2ipfix/changelog" <CHANGELOG.md
    "$inventory" changelog -version "$PACKAGE_VERSION-1" -epoch "$SOURCE_DATE_EPOCH" -maintainer "$MAINTAINER" CHANGELOG.md |
        packed "$root/usr/share/doc/flow2ipfix/changelog.Debian"
    dated "$root"
    package deb "$root" "$root" "$arch"

    root=$work/$arch/rpm docs=$work/$arch/docs
    common "$root" "$docs" "$arch"
    put "$root/usr/share/zsh/site-functions/_flow2ipfix" <"$work/zsh"
    packed "$docs/usr/share/doc/flow2ipfix/CHANGELOG.md" <CHANGELOG.md
    dated "$root"
    dated "$docs"
    package rpm "$root" "$docs" "$arch"

    # The tar.gz is for machines that have neither, and for containers.
    name=flow2ipfix_${PACKAGE_VERSION}_linux_$arch root=$work/$arch/tar/$name
    put "$root/flow2ipfix" 0755 <"$work/$arch/flow2ipfix"
    for file in LICENSE README.md CHANGELOG.md; do put "$root/$file" <"$file"; done
    put "$root/third-party-notices" <"$work/$arch/notices"
    put "$root/flow2ipfix.yaml" <packaging/flow2ipfix.yaml
    put "$root/man/flow2ipfix.8" <"$work/flow2ipfix.8"
    put "$root/man/flow2ipfix.yaml.5" <"$work/flow2ipfix.yaml.5"
    for shell in bash zsh fish; do put "$root/completions/flow2ipfix.$shell" <"$work/$shell"; done
    put "$root/systemd/flow2ipfix.service" <systemd/flow2ipfix.service
    put "$root/systemd/flow2ipfix.sysusers" <systemd/flow2ipfix.sysusers
    cp -r "$docs/usr/share/doc/flow2ipfix/examples" "$root/examples"
    dated "$work/$arch/tar"
    tar --sort=name --owner=0 --group=0 --numeric-owner --format=gnu -C "$work/$arch/tar" -c "$name" | gzip -9n >"$dist/$name.tar.gz"
done

(cd "$dist" && sha256sum -- *.deb *.rpm *.tar.gz *.json >SHA256SUMS)
