package dev.lorikeet.conformance.runner;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.OutputStream;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.jar.JarEntry;
import java.util.jar.JarOutputStream;
import javax.tools.JavaCompiler;
import javax.tools.ToolProvider;

/**
 * Jars with one router each, compiled on the spot: the runner looks for providers in the jars that
 * it is given, and must not find them on its own class path instead.
 */
final class RouterJars {
  private static final String PROVIDER =
      """
      package com.example.@NAME@;

      import dev.lorikeet.plugin.Availability;
      import dev.lorikeet.routing.*;
      import java.util.List;

      public final class Provider implements RouterProvider {
        public String name() { return "@NAME@"; }

        public Availability availability() { return @AVAILABILITY@; }

        public Router open(RouterConfig config) {
          for (String key : config.options().keySet()) {
            if (!key.equals("adapters")) {
              throw new IllegalArgumentException("unknown option '" + key + "'");
            }
          }
          if (!config.options().containsKey("adapters")) {
            throw new IllegalArgumentException("option 'adapters': expected, found none");
          }
          return new ToOne(new Experts(List.of(config.options().get("adapters").split(",")), 1));
        }

        private record ToOne(Experts experts) implements TokenRouter {
          public void route(RoutingInput in, RoutingOutput out) {
            for (int token = 0; token < in.tokens(); token++) {
              out.choose(token, @EXPERT@, 1f);
            }
          }
        }
      }
      """;

  private final Path directory;

  RouterJars(Path directory) {
    this.directory = directory;
  }

  /** A router that keeps the rules, given the option {@code adapters}. */
  Path sound() throws IOException {
    return jar("sound", "Availability.available(\"everywhere\")", "0");
  }

  /** A router that chooses an expert beyond the last. */
  Path faulty() throws IOException {
    return jar("faulty", "Availability.available(\"everywhere\")", "experts.adapters().size()");
  }

  /** A router that cannot work here. */
  Path unavailable() throws IOException {
    return jar("distant", "Availability.unavailable(\"no such hardware\")", "0");
  }

  /** A jar whose service file names a class that is not there. */
  Path empty() throws IOException {
    return pack("empty", List.of());
  }

  private Path jar(String name, String availability, String expert) throws IOException {
    Path sources = Files.createDirectories(directory.resolve(name));
    Path source = sources.resolve("Provider.java");
    Files.writeString(
        source,
        PROVIDER
            .replace("@NAME@", name)
            .replace("@AVAILABILITY@", availability)
            .replace("@EXPERT@", expert));
    JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
    StringWriter messages = new StringWriter();
    try (var files = compiler.getStandardFileManager(null, null, UTF_8)) {
      List<String> options = List.of("-d", sources.toString(), "-proc:none");
      assertTrue(
          compiler
              .getTask(messages, files, null, options, null, files.getJavaFileObjects(source))
              .call(),
          messages::toString);
    }
    Path classes = sources.resolve("com/example/" + name);
    try (var compiled = Files.list(classes)) {
      return pack(name, compiled.sorted().toList());
    }
  }

  private Path pack(String name, List<Path> classes) throws IOException {
    Path jar = directory.resolve(name + ".jar");
    try (OutputStream file = Files.newOutputStream(jar);
        JarOutputStream entries = new JarOutputStream(file)) {
      entries.putNextEntry(new JarEntry("META-INF/services/dev.lorikeet.routing.RouterProvider"));
      entries.write(("com.example." + name + ".Provider\n").getBytes(UTF_8));
      for (Path compiled : classes) {
        entries.putNextEntry(new JarEntry("com/example/" + name + "/" + compiled.getFileName()));
        entries.write(Files.readAllBytes(compiled));
      }
    }
    return jar;
  }
}
