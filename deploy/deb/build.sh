#!/usr/bin/env bash
# build.sh [FOLDER]: makes althing_VERSION_ARCH.deb from target/release/althing (or $ALTHING) into FOLDER (target/deb), and prints its path.
# With dpkg's own tools: dpkg-deb, dpkg-shlibdeps.
set -euo pipefail
cd "$(dirname "$0")/../.."
althing=${ALTHING:-target/release/althing}
out=${1:-target/deb}
[ -x "$althing" ] || { echo "build.sh: there is no $althing: cargo build --release --locked" >&2; exit 66; }
version=$("$althing" --version | cut -d' ' -f2)
arch=$(dpkg --print-architecture)
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
# Whoever builds it answers for it, as Debian's own tools have it; else whoever made the last change.
maintainer="${DEBFULLNAME:-} <${DEBEMAIL:-}>"
if [ -z "${DEBFULLNAME:-}" ] || [ -z "${DEBEMAIL:-}" ]; then
  maintainer=$(git log -1 --format='%an <%ae>') || { echo "build.sh: who makes this package? Set DEBFULLNAME and DEBEMAIL" >&2; exit 78; }
fi
umask 022
root=$out/root
rm -rf "$root" "$out/debian"
mkdir -p "$root/DEBIAN" "$out/debian"
put() { # put MODE FILE TARGET
  install -D -m "$1" "$2" "$root$3"
}

put 0755 "$althing" /usr/bin/althing
strip --strip-unneeded "$root/usr/bin/althing"
put 0644 deploy/systemd/althing.service /lib/systemd/system/althing.service
put 0644 deploy/deb/sysusers.conf /usr/lib/sysusers.d/althing.conf
put 0644 deploy/sysctl/60-althing.conf /usr/lib/sysctl.d/60-althing.conf
put 0644 deploy/deb/althing.toml /etc/althing/althing.toml
put 0644 deploy/deb/copyright /usr/share/doc/althing/copyright
put 0644 config/default.toml /usr/share/doc/althing/default.toml
put 0644 docs/OPERATIONS.md /usr/share/doc/althing/OPERATIONS.md
put 0644 deploy/caddy/Caddyfile /usr/share/doc/althing/examples/Caddyfile
put 0644 deploy/nginx/althing.conf /usr/share/doc/althing/examples/nginx.conf
put 0644 CHANGELOG.md /usr/share/doc/althing/CHANGES.md
printf 'althing (%s) stable; urgency=medium\n\n  * What has changed is in CHANGES.md.gz beside this file.\n\n -- %s  %s\n' "$version" \
  "$maintainer" "$(date -u -R -d "@$SOURCE_DATE_EPOCH")" | gzip -9nc > "$out/changelog.gz"
put 0644 "$out/changelog.gz" /usr/share/doc/althing/changelog.gz
"$althing" man --dir "$out/man"
for page in "$out"/man/*.1; do
  gzip -9nf "$page"
  put 0644 "$page.gz" "/usr/share/man/man1/$(basename "$page").gz"
done
rm -r "$out/man"
"$althing" completions bash > "$out/completion"
put 0644 "$out/completion" /usr/share/bash-completion/completions/althing
"$althing" completions zsh > "$out/completion"
put 0644 "$out/completion" /usr/share/zsh/vendor-completions/_althing
"$althing" completions fish > "$out/completion"
put 0644 "$out/completion" /usr/share/fish/vendor_completions.d/althing.fish
gzip -9nf "$root"/usr/share/doc/althing/{default.toml,OPERATIONS.md,CHANGES.md}

# What the binary needs of the system it is for.
printf 'Source: althing\n\nPackage: althing\nArchitecture: any\n' > "$out/debian/control"
depends=$(cd "$out" && dpkg-shlibdeps -O root/usr/bin/althing 2>/dev/null | sed -n 's/^shlibs:Depends=//p')
size=$(du -k -s --apparent-size "$root" | cut -f1)
sed -e "s/@VERSION@/$version/; s/@ARCH@/$arch/; s/@DEPENDS@/$depends/; s/@SIZE@/$size/; s|@MAINTAINER@|$maintainer|" deploy/deb/control > "$root/DEBIAN/control"
echo /etc/althing/althing.toml > "$root/DEBIAN/conffiles"
for script in postinst prerm postrm; do install -m 0755 "deploy/deb/$script" "$root/DEBIAN/$script"; done
(cd "$root" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | LC_ALL=C sort -z | xargs -0 md5sum) > "$root/DEBIAN/md5sums"
find "$root" -newermt "@$SOURCE_DATE_EPOCH" -print0 | xargs -0r touch -h -d "@$SOURCE_DATE_EPOCH"

deb=$out/althing_${version}_$arch.deb
dpkg-deb --root-owner-group -Zxz --build "$root" "$deb" >/dev/null
rm -rf "$root" "$out/debian" "$out/changelog.gz" "$out/completion"
echo "$deb"
