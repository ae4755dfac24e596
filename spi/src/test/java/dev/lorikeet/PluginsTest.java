package dev.lorikeet;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.memory.PagePoolProvider;
import java.io.File;
import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Discovery over class paths that are put together, and damaged, for each test. */
class PluginsTest {
  @TempDir Path directory;

  /** The source of a provider whose methods are what the arguments say. */
  private static String provider(String name, int priority, String availability) {
    return """
    package test;
    public class %1$s implements dev.lorikeet.memory.PagePoolProvider {
      public String name() { return "%2$s"; }
      public int priority() { return %3$d; }
      public dev.lorikeet.plugin.Availability availability() { %4$s }
      public dev.lorikeet.memory.PagePool open(dev.lorikeet.memory.PoolConfig c) { throw new UnsupportedOperationException(); }
    }
    """
        .formatted(className(name), name, priority, availability);
  }

  private static String ready() {
    return "return dev.lorikeet.plugin.Availability.available(\"yes\");";
  }

  private static String className(String name) {
    return Character.toUpperCase(name.charAt(0)) + name.substring(1);
  }

  /** Compiles sources into a folder of the class path and names them in its service file. */
  private Path jar(String folder, List<String> sources, String services) throws IOException {
    Path root = Files.createDirectories(directory.resolve(folder));
    List<String> arguments = new ArrayList<>(List.of("-d", root.toString(), "-proc:none"));
    arguments.addAll(
        List.of("-cp", System.getProperty("java.class.path") + File.pathSeparator + root));
    for (int i = 0; i < sources.size(); i++) {
      String source = sources.get(i);
      String name = source.replaceAll("(?s).*?public class (\\w+).*", "$1");
      Path file = Files.createDirectories(root.resolve("src" + i)).resolve(name + ".java");
      Files.writeString(file, source);
      arguments.add(file.toString());
    }
    if (!sources.isEmpty()) {
      assertEquals(
          0,
          ToolProvider.getSystemJavaCompiler()
              .run(null, null, null, arguments.toArray(String[]::new)));
    }
    Files.writeString(
        Files.createDirectories(root.resolve("META-INF/services"))
            .resolve(PagePoolProvider.class.getName()),
        services);
    return root;
  }

  private static Plugins discover(Path... roots) throws IOException {
    List<URL> urls = new ArrayList<>();
    for (Path root : roots) {
      urls.add(root.toUri().toURL());
    }
    // The loader stays open: classes of its providers may still be loaded when they are asked.
    return Plugins.discover(
        new URLClassLoader(urls.toArray(URL[]::new), Plugins.class.getClassLoader()));
  }

  @Test
  void anEmptyClassPathHasNoPluginsAndSaysSoOnUse() {
    Plugins plugins = Plugins.discover(new ClassLoader(Plugins.class.getClassLoader()) {});
    assertEquals(List.of(), plugins.list());
    LorikeetException e =
        assertThrows(LorikeetException.class, () -> plugins.pagePool(Optional.empty()));
    assertEquals(Code.PLUGIN_UNAVAILABLE, e.code());
    assertTrue(
        e.getMessage().contains("page pool") && e.getMessage().contains("jar"), e.getMessage());
  }

  @Test
  void theReadyProviderOfHighestPriorityIsChosenAndAmongEqualsTheFirstName() throws IOException {
    Path root =
        jar(
            "a",
            List.of(
                provider("beta", 5, ready()),
                provider("alpha", 5, ready()),
                provider("low", 1, ready()),
                provider(
                    "high", 9, "return dev.lorikeet.plugin.Availability.unavailable(\"no GPU\");")),
            "test.Beta\ntest.Alpha\ntest.Low\ntest.High\n");
    Plugins plugins = discover(root);
    assertEquals(
        List.of("alpha", "beta", "low", "high"),
        plugins.list().stream().map(Plugin::name).toList());
    assertEquals("alpha", plugins.pagePool(Optional.empty()).name());
    assertEquals("low", plugins.pagePool(Optional.of("low")).name());
    LorikeetException e =
        assertThrows(LorikeetException.class, () -> plugins.pagePool(Optional.of("high")));
    assertTrue(e.getMessage().contains("no GPU"), e.getMessage());
  }

  @Test
  void providersThatFailToLoadAreListedAndDisturbNoOther() throws IOException {
    Path broken =
        jar(
            "broken",
            List.of(
                "package test; public class Parent {}",
                provider("orphan", 1, ready()).replace(" implements", " extends Parent implements"),
                provider("exploding", 1, ready())
                    .replace(
                        "public String name()",
                        "static { if (true) throw new IllegalStateException(\"bad start\"); }"
                            + " public String name()"),
                provider("throwing", 1, "throw new IllegalStateException(\"cannot say\");"),
                "package test; public class Stranger {}"),
            "test.Missing\ntest.Orphan\ntest.Exploding\ntest.Throwing\ntest.Stranger\n");
    Files.delete(broken.resolve("test/Parent.class"));
    Path good = jar("good", List.of(provider("good", 0, ready())), "test.Good\n");

    Plugins plugins = discover(broken, good);

    assertEquals("good", plugins.pagePool(Optional.empty()).name());
    List<Plugin> failed = plugins.list().stream().filter(p -> !p.isAvailable()).toList();
    assertEquals(5, failed.size(), failed.toString());
    for (String reason : List.of("Missing", "Parent", "bad start", "cannot say", "Stranger")) {
      assertTrue(
          failed.stream().anyMatch(p -> p.isFailed() && p.availability().detail().contains(reason)),
          reason + " in " + failed);
    }
  }

  @Test
  void aDamagedServiceFileIsListedAndDisturbsNoOther() throws IOException {
    Path damaged = jar("damaged", List.of(), "this is no class name\n");
    Path good = jar("good", List.of(provider("good", 0, ready())), "test.Good\n");
    for (Plugins plugins : List.of(discover(damaged, good), discover(good, damaged))) {
      assertEquals("good", plugins.pagePool(Optional.empty()).name());
      assertTrue(plugins.list().stream().anyMatch(p -> p.isFailed()));
    }
  }
}
