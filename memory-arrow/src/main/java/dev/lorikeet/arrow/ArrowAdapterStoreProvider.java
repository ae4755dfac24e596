package dev.lorikeet.arrow;

import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.AdapterStoreProvider;
import dev.lorikeet.adapter.StoreConfig;
import dev.lorikeet.plugin.Availability;
import java.util.Set;

/**
 * Opens stores that read adapters into pages of the pool: PEFT directories, and Arrow files that
 * {@link AdapterFiles#convert} has written, whose names end in {@code .arrow}.
 *
 * <p>Option {@code prefetch-threads} (1 to 64, default 2): how many adapters are read at a time
 * because of {@link AdapterStore#prefetch}. {@link AdapterStore#acquire} never waits for them.
 */
public final class ArrowAdapterStoreProvider implements AdapterStoreProvider {
  private static final String PREFETCH_THREADS = "prefetch-threads";

  /** Creates the provider; does no work. */
  public ArrowAdapterStoreProvider() {}

  @Override
  public String name() {
    return "arrow";
  }

  @Override
  public int priority() {
    return 50;
  }

  @Override
  public Availability availability() {
    return Availability.available("PEFT directories and Arrow files in pages of any pool");
  }

  @Override
  public AdapterStore open(StoreConfig config) {
    var options = new Options("arrow adapter store", config.options(), Set.of(PREFETCH_THREADS));
    return new ArrowAdapterStore(config, options.number(PREFETCH_THREADS, 2, 1, 64));
  }
}
