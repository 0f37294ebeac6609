# What the registry launch scripts in this folder share. Sourced, never run.
#
# Contract of every script here:
#   NAME.sh install                     fetch and unpack into the cache, start nothing
#   NAME.sh start [--port P] [...]      run in the foreground; stdout carries zero or more
#                                       "info KEY VALUE" lines and then one "ready URL" line
#   exit 0   stopped by a signal (SIGTERM / SIGINT / SIGHUP), or `install` succeeded
#   exit 1   the server died or never became ready (the tail of its log goes to stderr)
#   exit 2   usage error
#   exit 3   the server cannot be had on this machine (the reason goes to stderr)
# Nothing is installed system-wide, root is not needed, and every listener is on 127.0.0.1.

set -u
REGISTRY_CACHE="${REGISTRY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mcp-discovery-registries}"
REGISTRY_READY_TIMEOUT="${REGISTRY_READY_TIMEOUT:-60}"
SELF="${0##*/}"

say()   { printf '%s\n' "$*" >&2; }
usage_error() { say "$SELF: $*"; exit 2; }
unavailable() { say "$SELF: cannot be installed here: $*; $(way_out)"; exit 3; }
way_out() {              # what whoever wants these tests can do
  case "$SELF" in
    consul.sh) echo "CONSUL_BIN=/path/to/consul takes one that is there" ;;
    etcd.sh) echo "ETCD_BIN=/path/to/etcd ETCDCTL_BIN=/path/to/etcdctl takes one that is there" ;;
    dns.sh) echo "an nsd on PATH will do" ;;
    *) echo "a JDK and Maven on PATH, and a repository they reach, will do" ;;
  esac
}

# ports
# A port is free when nothing accepts on it. Auto-chosen ports come from below Linux's
# ephemeral range (32768+), so an outgoing connection can never take one in between.
PICKED_PORTS=" "
port_busy() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
pick_port() {            # sets PORT
  local i
  for i in $(seq 200); do
    PORT=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
    case "$PICKED_PORTS" in *" $PORT "*) continue ;; esac
    port_busy "$PORT" && continue
    PICKED_PORTS="$PICKED_PORTS$PORT "
    return 0
  done
  say "$SELF: no free port found"; exit 1
}
want_port() {            # want_port VALUE NAME: sets PORT; 0 or empty means "choose one"
  if [ -z "${1:-}" ] || [ "$1" = 0 ]; then pick_port; return; fi
  case "$1" in *[!0-9]*) usage_error "$2 needs a number, got '$1'" ;; esac
  port_busy "$1" && { say "$SELF: port $1 is already in use"; exit 1; }
  PORT="$1"; PICKED_PORTS="$PICKED_PORTS$PORT "
}

# debian packages
# Everything comes from the Debian mirror this machine is already configured for, through apt
# with private list and archive folders; signatures are checked with the machine's own
# Debian archive keyring. dpkg -x unpacks; no maintainer script runs.
APT_ARCH="$(dpkg --print-architecture 2>/dev/null || true)"
APT_KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

mirror_site() {          # the main Debian mirror in the machine's own apt configuration
  apt-get indextargets --no-release-info --format '$(SITE) $(RELEASE)' 'Identifier: Packages' 2>/dev/null |
    awk '$2 !~ /security|updates|backports/ && !seen++ { print $1 }'
}
apt_private() {          # apt_private ROOT ARGS...: apt-get against private state
  local root="$1"; shift
  apt-get -qq -o APT::Sandbox::User="$(id -un)" -o Debug::NoLocking=1 \
    -o Dir::State::lists="$root/lists" -o Dir::Cache="$root/cache" \
    -o Dir::Cache::archives="$root/archives" -o Acquire::Languages=none \
    -o Acquire::Retries=3 -o APT::Update::Post-Invoke= -o APT::Update::Post-Invoke-Success= \
    -o DPkg::Post-Invoke= ${APT_SOURCE_ARGS[@]+"${APT_SOURCE_ARGS[@]}"} "$@"
}
apt_prepare() {          # apt_prepare SUITE|native: sets APT_ROOT, APT_SOURCE_ARGS; updates lists once a day
  local suite="$1" site
  command -v apt-get >/dev/null && command -v dpkg >/dev/null || unavailable "apt-get and dpkg are not on this machine"
  APT_ROOT="$REGISTRY_CACHE/apt/$suite"
  mkdir -p "$APT_ROOT/lists/partial" "$APT_ROOT/cache" "$APT_ROOT/archives/partial"
  if command -v flock >/dev/null; then exec 8>"$APT_ROOT/lock"; flock 8; fi   # one user of these lists at a time
  APT_SOURCE_ARGS=()
  if [ "$suite" != native ]; then
    [ -r "$APT_KEYRING" ] || unavailable "no Debian archive keyring at $APT_KEYRING"
    site="$(mirror_site)"
    [ -n "$site" ] || unavailable "apt on this machine names no Debian mirror"
    printf 'deb [signed-by=%s] %s %s main\n' "$APT_KEYRING" "$site" "$suite" >"$APT_ROOT/sources.list"
    APT_SOURCE_ARGS=(-o Dir::Etc::sourcelist="$APT_ROOT/sources.list" -o Dir::Etc::sourceparts=/dev/null)
  fi
  if [ -z "$(find "$APT_ROOT/lists" -maxdepth 1 -name '*_Packages*' -mtime -1 -print -quit)" ]; then
    say "$SELF: reading the package list of $suite"
    apt_private "$APT_ROOT" update >"$APT_ROOT/update.log" 2>&1 || true
    [ -n "$(find "$APT_ROOT/lists" -maxdepth 1 -name '*_Packages*' -print -quit)" ] ||
      unavailable "the package list of Debian $suite could not be read ($(tail -1 "$APT_ROOT/update.log" | sed 's#[a-z]*://[^ ]*#(mirror)#g'))"
  fi
}
# fetch_debs SUITE DEST PACKAGE...: exactly these packages, unpacked into DEST (atomically)
fetch_debs() {
  local suite="$1" dest="$2"; shift 2
  apt_prepare "$suite"
  local tmp="$dest.tmp.$$"; rm -rf "$tmp"; mkdir -p "$tmp/debs" "$tmp/root"
  ( cd "$tmp/debs" && apt_private "$APT_ROOT" download "$@" >../download.log 2>&1 ) ||
    { local why; why="$(tail -1 "$tmp/download.log" | sed 's#[a-z]*://[^ ]*#(mirror)#g')"; rm -rf "$tmp"; say "$SELF: $suite: $why"; return 1; }
  exec 8>&-
  unpack_into "$tmp" "$dest"
}
# fetch_with_deps DEST PACKAGE: a package of this machine's own release and whatever it needs that is not installed
fetch_with_deps() {
  local dest="$1"; shift
  apt_prepare native
  local tmp="$dest.tmp.$$"; rm -rf "$tmp"; mkdir -p "$tmp/debs/partial" "$tmp/root"
  apt_private "$APT_ROOT" -o Dir::Cache::archives="$tmp/debs" -y --no-install-recommends --download-only install "$@" >"$tmp/download.log" 2>&1 ||
    { local why; why="$(tail -1 "$tmp/download.log" | sed 's#[a-z]*://[^ ]*#(mirror)#g')"; rm -rf "$tmp"; say "$SELF: $why"; return 1; }
  exec 8>&-
  unpack_into "$tmp" "$dest"
}
unpack_into() {
  local tmp="$1" dest="$2" deb
  for deb in "$tmp"/debs/*.deb; do
    [ -e "$deb" ] || continue
    dpkg -x "$deb" "$tmp/root" || { rm -rf "$tmp"; return 1; }
  done
  rm -rf "$dest"; mv "$tmp/root" "$dest"; rm -rf "$tmp"
}
# once NAME FUNCTION: run an installer under a lock, so that parallel test processes install once
once() {
  mkdir -p "$REGISTRY_CACHE/lock" || unavailable "cannot write to $REGISTRY_CACHE"
  if command -v flock >/dev/null; then
    exec 9>"$REGISTRY_CACHE/lock/$1"; flock 9; "$2"; exec 9>&-
  else "$2"; fi
}

# processes
CHILDREN=(); DATA=""; DATA_IS_TEMP=""; WATCH_PARENT=""; PARENT_PID="$PPID"
use_data_dir() {         # use_data_dir GIVEN NAME
  if [ -n "$1" ]; then mkdir -p "$1" || exit 1; DATA="$(cd "$1" && pwd)"
  else DATA="$(mktemp -d "${TMPDIR:-/tmp}/mcp-registry-$2.XXXXXX")" || exit 1; DATA_IS_TEMP=1; fi
}
# launch LOG COMMAND...: in the background, killed by the kernel should this script be killed outright
launch() {
  local log="$1"; shift
  if command -v setpriv >/dev/null && setpriv --pdeathsig KILL true 2>/dev/null; then
    setpriv --pdeathsig KILL "$@" >>"$log" 2>&1 </dev/null 8>&- 9>&- &
  else "$@" >>"$log" 2>&1 </dev/null 8>&- 9>&- & fi
  LAST_PID=$!; CHILDREN+=("$LAST_PID")
}
alive() { kill -0 "$1" 2>/dev/null; }
stop_all() {
  local p i
  for p in ${CHILDREN[@]+"${CHILDREN[@]}"}; do kill -CONT "$p" 2>/dev/null; kill -TERM "$p" 2>/dev/null; done
  for i in $(seq 50); do
    local any=""; for p in ${CHILDREN[@]+"${CHILDREN[@]}"}; do alive "$p" && any=1; done
    [ -z "$any" ] && break; sleep 0.1
  done
  for p in ${CHILDREN[@]+"${CHILDREN[@]}"}; do kill -KILL "$p" 2>/dev/null; done
  wait 2>/dev/null
  [ -n "$DATA_IS_TEMP" ] && [ -n "$DATA" ] && rm -rf "$DATA"
  CHILDREN=(); DATA_IS_TEMP=""
}
on_signal() { stop_all; exit 0; }
trap on_signal TERM INT HUP
trap ':' PIPE             # a reader that went away must not keep the clean-up from running
trap stop_all EXIT
fail_with_log() {        # fail_with_log LOG MESSAGE
  say "$SELF: $2"; [ -f "$1" ] && tail -n 25 "$1" >&2; exit 1
}
http_get() {             # http_get PORT PATH: the body, on any 2xx; needs no curl
  timeout 3 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$0" || exit 1
    printf "GET %s HTTP/1.0\r\nHost: 127.0.0.1\r\nAccept: application/json\r\nConnection: close\r\n%s\r\n" "$1" "${2:+$2
}" >&3
    IFS= read -r status <&3 || exit 1
    case "$status" in *" 2"[0-9][0-9]*) cat <&3 ;; *) exit 1 ;; esac' "$1" "$2" "${3:-}" 2>/dev/null
}
wait_ready() {           # wait_ready PID LOG FUNCTION
  local pid="$1" log="$2" probe="$3" end=$(( $(date +%s) + REGISTRY_READY_TIMEOUT ))
  until "$probe"; do
    alive "$pid" || fail_with_log "$log" "the server stopped before it was ready"
    [ "$(date +%s)" -lt "$end" ] || fail_with_log "$log" "not ready after ${REGISTRY_READY_TIMEOUT} s"
    sleep 0.1
  done
}
announce() { printf 'info %s %s\n' "$1" "$2"; }
ready() { printf 'ready %s\n' "$1"; }
# on_usr1 FUNCTION: what SIGUSR1 does while staying
USR1_ACTION=""; USR1_PENDING=""
on_usr1() { USR1_ACTION="$1"; trap 'USR1_PENDING=1' USR1; }
# stay: until a signal, or until every server that launch started has died
stay() {
  local p any
  while :; do
    if [ -n "$USR1_PENDING" ]; then USR1_PENDING=""; "$USR1_ACTION"; fi
    any=""; for p in "${CHILDREN[@]}"; do alive "$p" && any=1; done
    [ -n "$any" ] || { say "$SELF: the server stopped by itself"; exit 1; }
    if [ -n "$WATCH_PARENT" ] && ! alive "$PARENT_PID"; then say "$SELF: parent $PARENT_PID is gone"; exit 0; fi
    sleep 0.5 & wait $! 2>/dev/null     # `wait` lets the signal traps run at once
  done
}

# java, maven
JAVA="${JAVA_HOME:+$JAVA_HOME/bin/}java"
JAVAC="${JAVA_HOME:+$JAVA_HOME/bin/}javac"
java_major() { "$JAVA" -version 2>&1 | sed -n '/ version "/{s/.*version "\([0-9]*\).*/\1/p;q}'; }   # JAVA_TOOL_OPTIONS prints a line before it
need_jdk() {             # need_jdk MIN
  command -v "$JAVA" >/dev/null && command -v "$JAVAC" >/dev/null || unavailable "no JDK (java and javac) on PATH"
  [ "$(java_major)" -ge "$1" ] 2>/dev/null || unavailable "Java $1 or newer is needed, this is $(java_major)"
}
# maven_lib DIR: DIR holds pom.xml and src/; fills DIR/lib with the dependencies and DIR/classes with the compiled src.
# The machine's own Maven settings decide where packages come from.
maven_lib() {
  local dir="$1"
  command -v mvn >/dev/null || unavailable "no mvn on PATH"
  if ! timeout "${REGISTRY_MAVEN_TIMEOUT:-480}" mvn -B -q -ntp -Dstyle.color=never -f "$dir/pom.xml" \
      org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
      -DoutputDirectory="$dir/lib" -DincludeScope=runtime >"$dir/maven.log" 2>&1; then
    local why; why="$(grep -m1 -iE 'non-resolvable|could not (transfer|find|resolve)' "$dir/maven.log" | sed 's#[a-z]*://[^ ),]*#(repository)#g; s/\x1b\[[0-9;]*m//g' | cut -c1-220)"
    rm -rf "$dir"; unavailable "Maven could not fetch the packages: ${why:-see the Maven settings of this machine}"
  fi
  mkdir -p "$dir/classes"
  "$JAVAC" -nowarn -cp "$dir/lib/*" -d "$dir/classes" $(find "$dir/src" -name '*.java') >"$dir/javac.log" 2>&1 ||
    { tail -n 15 "$dir/javac.log" >&2; rm -rf "$dir"; unavailable "the launcher class did not compile against these packages"; }
  touch "$dir/complete"
}
