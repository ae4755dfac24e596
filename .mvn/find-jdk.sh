# Sourced by mvnw and lorikeet (POSIX sh). find_jdk sets JDK to the home of a JDK that can build and run Lorikeet:
# the first of LORIKEET_JAVA_HOME, JAVA_HOME and java on the PATH that is recent enough, else the oldest such JDK
# in the usual places. It reads each JDK's release file, so looking costs no JVM start.

JDK_MINIMUM=25
JDK_MISSING="no JDK $JDK_MINIMUM or later found (looked at LORIKEET_JAVA_HOME, JAVA_HOME, java on the PATH,\
 ~/.m2/toolchains.xml, ~/.sdkman, ~/.jdks, /usr/lib/jvm, /opt, /Library/Java); install one or set LORIKEET_JAVA_HOME"

# Prints the feature version of the JDK at $1, or 0.
jdk_version() {
  [ -x "$1/bin/javac" ] && [ -r "$1/release" ] || { echo 0; return; }
  version=$(sed -n 's/^JAVA_VERSION="\([0-9]*\).*/\1/p' "$1/release")
  echo "${version:-0}"
}

find_jdk() {
  JDK=
  on_path=$(command -v java || true)
  if [ -n "$on_path" ]; then
    on_path=$(readlink -f "$on_path" 2>/dev/null || echo "$on_path")
    on_path=${on_path%/bin/java}
  fi
  for home in "${LORIKEET_JAVA_HOME:-}" "${JAVA_HOME:-}" "$on_path"; do
    if [ -n "$home" ] && [ "$(jdk_version "$home")" -ge "$JDK_MINIMUM" ]; then
      JDK=$home
      return 0
    fi
  done

  toolchain=
  if [ -r "$HOME/.m2/toolchains.xml" ]; then
    toolchain=$(sed -n 's:.*<jdkHome>\(.*\)</jdkHome>.*:\1:p' "$HOME/.m2/toolchains.xml" | head -n 1)
  fi
  best=1000
  for home in "$toolchain" "$HOME"/.sdkman/candidates/java/* "$HOME"/.jdks/* /usr/lib/jvm/* /usr/java/* /opt/* /opt/java/* \
    /usr/local/openjdk* /opt/homebrew/opt/openjdk*/libexec/openjdk.jdk/Contents/Home \
    "$HOME"/Library/Java/JavaVirtualMachines/*/Contents/Home /Library/Java/JavaVirtualMachines/*/Contents/Home; do
    version=$(jdk_version "$home")
    if [ "$version" -ge "$JDK_MINIMUM" ] && [ "$version" -lt "$best" ]; then
      best=$version
      JDK=$home
    fi
  done
  [ -n "$JDK" ]
}
