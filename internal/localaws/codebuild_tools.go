package localaws

import (
	"fmt"
	"os"
	"path/filepath"
)

// The stand-in runs no images, so a build's docker is a few lines that say what
// they would do. `buildx build` fails where the Dockerfile is missing or has a
// line "RUN false", so that a demo can show a red build, and invents a digest.
const dockerTool = `#!/bin/sh
# The stand-in's docker: it builds nothing.
say() { printf '%s\n' "$*"; }
case "$1 $2" in
"login "*) cat >/dev/null; say "Login Succeeded (stand-in)"; exit 0 ;;
"buildx create") say "stand-in builder"; exit 0 ;;
"buildx build" | "build "*) ;;
*) say "docker (stand-in): $*"; exit 0 ;;
esac
args="$*"
file=Dockerfile context=. metadata= tags=
[ "$1" = buildx ] && shift
shift
while [ $# -gt 0 ]; do
	case "$1" in
	--file | -f) file=$2; shift ;;
	--tag | -t) tags="$tags $2"; shift ;;
	--metadata-file) metadata=$2; shift ;;
	--build-arg | --target | --platform | --cache-from | --cache-to | --progress | --builder | --label | --output) shift ;;
	--*) ;;
	*) context=$1 ;;
	esac
	shift
done
if [ ! -f "$file" ]; then
	say "ERROR: failed to solve: failed to read dockerfile: open $file: no such file or directory" >&2
	exit 1
fi
step=0
while IFS= read -r line || [ -n "$line" ]; do
	case "$line" in "" | "#"*) continue ;; esac
	step=$((step + 1))
	say "#$step [stand-in $step] $line"
	if [ "$line" = "RUN false" ]; then
		say "ERROR: failed to solve: process \"/bin/sh -c false\" did not complete successfully: exit code: 1" >&2
		exit 1
	fi
done <"$file"
digest=sha256:$( (printf '%s' "$args"; cat "$file") | sha256sum | cut -d' ' -f1)
for tag in $tags; do say "#$((step + 1)) pushing $tag (stand-in: nothing is pushed)"; done
[ -z "$metadata" ] || printf '{"containerimage.digest": "%s"}\n' "$digest" >"$metadata"
`

// awsTool answers the one question that a build asks to log in.
const awsTool = `#!/bin/sh
# The stand-in's aws.
case "$1 $2" in
"ecr get-login-password") echo stand-in-password ;;
*) echo "aws (stand-in): $* is not known here" >&2; exit 2 ;;
esac
`

// addTools writes the builds' docker and aws.
func addTools(s *Server) error {
	dir := filepath.Join(s.dir, "bin")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the builds' tools: %w", err)
	}
	for name, text := range map[string]string{"docker": dockerTool, "aws": awsTool} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			return fmt.Errorf("making the builds' tools: %w", err)
		}
	}
	return nil
}
