package dev.lorikeet;

import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.AdapterStoreProvider;
import dev.lorikeet.executor.LoraExecutorProvider;
import dev.lorikeet.memory.PagePoolProvider;
import dev.lorikeet.model.BaseModelProvider;
import dev.lorikeet.plugin.Availability;
import dev.lorikeet.plugin.PluginProvider;
import dev.lorikeet.routing.RouterProvider;
import java.security.CodeSource;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashSet;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.ServiceConfigurationError;
import java.util.ServiceLoader;
import java.util.Set;

/**
 * The providers that can be found, each with its availability and the reason for it, and the choice
 * among them. A provider whose class does not load, or that throws when it is asked, is listed as
 * failed and disturbs no other. Immutable; discover again to see a changed class path.
 */
public final class Plugins {
  private final Map<Plugin, PluginProvider> found;

  private Plugins(Map<Plugin, PluginProvider> found) {
    this.found = found;
  }

  /**
   * Finds all providers that the thread's context class loader sees, and those that the loader of
   * this class sees: threads of the common pool have the system's loader for a context, which in an
   * application server or in a jar of jars knows no plugin. Never throws for what a provider does.
   */
  public static Plugins discover() {
    ClassLoader context = Thread.currentThread().getContextClassLoader();
    ClassLoader own = Plugins.class.getClassLoader();
    return context == null || context.equals(own)
        ? discover(List.of(own))
        : discover(List.of(context, own));
  }

  /** Finds all providers that a class loader sees. */
  public static Plugins discover(ClassLoader loader) {
    return discover(List.of(loader));
  }

  private static Plugins discover(List<ClassLoader> loaders) {
    Map<Plugin, PluginProvider> found = new LinkedHashMap<>();
    Set<Class<?>> asked = new HashSet<>();
    for (ClassLoader loader : loaders) {
      for (PluginKind kind : PluginKind.values()) {
        switch (kind) {
          case PAGE_POOL -> find(kind, PagePoolProvider.class, loader, asked, found);
          case ADAPTER_STORE -> find(kind, AdapterStoreProvider.class, loader, asked, found);
          case LORA_EXECUTOR -> find(kind, LoraExecutorProvider.class, loader, asked, found);
          case ROUTER -> find(kind, RouterProvider.class, loader, asked, found);
          case BASE_MODEL -> find(kind, BaseModelProvider.class, loader, asked, found);
        }
      }
    }
    return new Plugins(Collections.unmodifiableMap(found));
  }

  private static <P extends PluginProvider> void find(
      PluginKind kind,
      Class<P> contract,
      ClassLoader loader,
      Set<Class<?>> asked,
      Map<Plugin, PluginProvider> found) {
    Iterator<ServiceLoader.Provider<P>> providers =
        ServiceLoader.load(contract, loader).stream().iterator();
    // A damaged service file can make the iterator fail again and again at the same place.
    String lastFailure = "";
    while (true) {
      String className = "";
      String location = "";
      try {
        if (!providers.hasNext()) {
          return;
        }
        ServiceLoader.Provider<P> provider = providers.next();
        if (!asked.add(provider.type())) {
          continue; // another loader gave it already
        }
        className = provider.type().getName();
        location = location(provider.type());
        ask(kind, className, location, provider.get(), found);
        lastFailure = "";
      } catch (ServiceConfigurationError | LinkageError e) {
        String reason = oneLine(e);
        if (className.isEmpty() && reason.equals(lastFailure)) {
          return;
        }
        lastFailure = reason;
        String name = className.isEmpty() ? kind.providerType().getSimpleName() : className;
        found.putIfAbsent(
            new Plugin(kind, name, 0, className, location, new Availability.Failed(reason)),
            Absent.PROVIDER);
      }
    }
  }

  // Whatever a provider throws when it is asked is its own failure; only errors of the virtual
  // machine itself go on.
  private static void ask(
      PluginKind kind,
      String className,
      String location,
      PluginProvider provider,
      Map<Plugin, PluginProvider> found) {
    Plugin plugin;
    try {
      String name = provider.name();
      int priority = provider.priority();
      Availability availability =
          Objects.requireNonNull(provider.availability(), "availability: expected one, found null");
      plugin = new Plugin(kind, name, priority, className, location, availability);
    } catch (RuntimeException | LinkageError e) {
      plugin =
          new Plugin(kind, className, 0, className, location, new Availability.Failed(oneLine(e)));
    }
    found.putIfAbsent(plugin, provider);
  }

  /**
   * Returns every provider found, by kind, in the order in which they would be chosen: available
   * ones first, then by priority, then by name.
   */
  public List<Plugin> list() {
    return found.keySet().stream()
        .sorted(Comparator.comparing(Plugin::kind).thenComparing(ORDER))
        .toList();
  }

  private static final Comparator<Plugin> ORDER =
      Comparator.comparing(Plugin::isAvailable)
          .reversed()
          .thenComparing(Comparator.comparingInt(Plugin::priority).reversed())
          .thenComparing(Plugin::name)
          .thenComparing(Plugin::location);

  /** Returns the page pool provider of this name, or the best one. */
  public PagePoolProvider pagePool(Optional<String> name) {
    return choose(PluginKind.PAGE_POOL, PagePoolProvider.class, name);
  }

  /** Returns the adapter store provider of this name, or the best one. */
  public AdapterStoreProvider adapterStore(Optional<String> name) {
    return choose(PluginKind.ADAPTER_STORE, AdapterStoreProvider.class, name);
  }

  /** Returns the LoRA executor provider of this name, or the best one. */
  public LoraExecutorProvider loraExecutor(Optional<String> name) {
    return choose(PluginKind.LORA_EXECUTOR, LoraExecutorProvider.class, name);
  }

  /** Returns the base model provider of this name, or the best one. */
  public BaseModelProvider baseModel(Optional<String> name) {
    return choose(PluginKind.BASE_MODEL, BaseModelProvider.class, name);
  }

  /** Returns the router provider of this name. */
  public RouterProvider router(String name) {
    return choose(PluginKind.ROUTER, RouterProvider.class, Optional.of(name));
  }

  /**
   * Chooses a provider.
   *
   * @throws LorikeetException with code {@code PLUGIN_UNAVAILABLE}; the message lists what was
   *     found and why it can't be used
   */
  private <P> P choose(PluginKind kind, Class<P> type, Optional<String> name) {
    List<Plugin> candidates =
        list().stream()
            .filter(p -> p.kind() == kind)
            .filter(p -> name.isEmpty() || p.name().equals(name.get()))
            .toList();
    for (Plugin candidate : candidates) {
      if (candidate.isAvailable()) {
        return type.cast(Objects.requireNonNull(found.get(candidate)));
      }
    }
    throw new LorikeetException(Code.PLUGIN_UNAVAILABLE, refusal(kind, name, candidates));
  }

  private String refusal(PluginKind kind, Optional<String> name, List<Plugin> candidates) {
    String wanted = kind.title() + name.map(n -> " '" + n + "'").orElse("");
    List<String> reasons = new ArrayList<>();
    for (Plugin p :
        candidates.isEmpty()
            ? list().stream().filter(p -> p.kind() == kind).toList()
            : candidates) {
      reasons.add(p.name() + " (" + (p.isAvailable() ? "ready" : p.availability().detail()) + ")");
    }
    return "no "
        + wanted
        + " can be used; found on the class path: "
        + (reasons.isEmpty() ? "none (is the plugin's jar there?)" : String.join(", ", reasons));
  }

  private static String location(Class<?> type) {
    CodeSource source = type.getProtectionDomain().getCodeSource();
    return source == null || source.getLocation() == null ? "" : source.getLocation().toString();
  }

  /** Returns a failure and what caused it in one line. */
  private static String oneLine(Throwable failure) {
    StringBuilder text =
        new StringBuilder(failure.getClass().getSimpleName() + ": " + failure.getMessage());
    // Chains of causes are short; the bound is against chains that bite their tail.
    Throwable cause = failure.getCause();
    for (int depth = 0; cause != null && depth < 4; depth++) {
      text.append(" (").append(cause).append(')');
      cause = cause.getCause();
    }
    return text.toString().replaceAll("\\R+", " ");
  }

  /** Stands for a provider that could not be made; never chosen, because it is listed as failed. */
  private enum Absent implements PluginProvider {
    PROVIDER;

    @Override
    public Availability availability() {
      return Availability.unavailable("not loaded");
    }
  }
}
