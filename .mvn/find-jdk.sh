# Sourced by mvnw and lorikeet (POSIX sh). find_jdk sets JDK to the home of a JDK that can build and run Lorikeet:
# LORIKEET_JAVA_HOME where it is set; else JAVA_HOME, then java on the PATH, if recent enough; else the oldest such JDK
# in the usual places. Where there is none it returns 1 and says why in JDK_MISSING.
# It reads each JDK's release file, so looking costs no JVM start.

JDK_MINIMUM=25

# Prints the feature version of the JDK at $1, or 0 where there is no JDK.
jdk_version() {
  jdk_release=
  if [ -x "$1/bin/javac" ] && [ -r "$1/release" ]; then
    while read -r jdk_line || [ -n "$jdk_line" ]; do
      case $jdk_line in
        JAVA_VERSION=\"[0-9]*)
          jdk_release=${jdk_line#JAVA_VERSION=\"}
          jdk_release=${jdk_release%%[!0-9]*}
          ;;
      esac
    done <"$1/release"
  fi
  echo "${jdk_release:-0}"
}

find_jdk() {
  JDK=${LORIKEET_JAVA_HOME:-}
  if [ -n "$JDK" ]; then
    jdk_found=$(jdk_version "$JDK")
    [ "$jdk_found" -lt "$JDK_MINIMUM" ] || return 0
    [ "$jdk_found" -eq 0 ] && jdk_found="no JDK" || jdk_found="JDK $jdk_found"
    JDK_MISSING="LORIKEET_JAVA_HOME=$JDK holds $jdk_found; needed: JDK $JDK_MINIMUM or later"
    return 1
  fi

  jdk_on_path=$(command -v java || true)
  if [ -n "$jdk_on_path" ]; then
    jdk_on_path=$(readlink -f "$jdk_on_path" 2>/dev/null || echo "$jdk_on_path")
  fi
  for JDK in "${JAVA_HOME:-}" "${jdk_on_path%/bin/java}"; do
    [ "$(jdk_version "$JDK")" -lt "$JDK_MINIMUM" ] || return 0
  done

  jdk_toolchain=
  if [ -r "$HOME/.m2/toolchains.xml" ]; then
    jdk_toolchain=$(sed -n 's:.*<jdkHome>\(.*\)</jdkHome>.*:\1:p' "$HOME/.m2/toolchains.xml" | head -n 1)
  fi
  JDK=
  jdk_oldest=1000
  for jdk_home in "$jdk_toolchain" "$HOME"/.sdkman/candidates/java/* "$HOME"/.jdks/* \
    /usr/lib/jvm/* /usr/java/* /opt/* /opt/java/* /usr/local/openjdk* \
    "$HOME"/Library/Java/JavaVirtualMachines/*/Contents/Home /Library/Java/JavaVirtualMachines/*/Contents/Home \
    /opt/homebrew/opt/openjdk*/libexec/openjdk.jdk/Contents/Home; do
    jdk_found=$(jdk_version "$jdk_home")
    if [ "$jdk_found" -ge "$JDK_MINIMUM" ] && [ "$jdk_found" -lt "$jdk_oldest" ]; then
      jdk_oldest=$jdk_found
      JDK=$jdk_home
    fi
  done
  JDK_MISSING="no JDK $JDK_MINIMUM or later found at JAVA_HOME, on the PATH or in the usual places (~/.m2/toolchains.xml,\
 ~/.sdkman, ~/.jdks, /usr/lib/jvm, /opt, /Library/Java); install one, or set LORIKEET_JAVA_HOME to its folder"
  [ -n "$JDK" ]
}
