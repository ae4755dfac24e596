package dev.lorikeet.files;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * A small thread-safe cache that forgets what was not used for longest.
 *
 * @param <K> the keys
 * @param <V> the values
 */
public final class RecentlyUsed<K, V> {
  private static final float LOAD_FACTOR = 0.75f;

  private final Map<K, V> map;

  /** Creates a cache of at most so many entries. */
  public RecentlyUsed(int most) {
    map =
        new LinkedHashMap<>(16, LOAD_FACTOR, true) {
          private static final long serialVersionUID = 1L;

          @Override
          protected boolean removeEldestEntry(Map.Entry<K, V> eldest) {
            return size() > most;
          }
        };
  }

  /** Returns what is kept under a key. */
  public synchronized Optional<V> get(K key) {
    return Optional.ofNullable(map.get(key));
  }

  /** Keeps a value. */
  public synchronized void put(K key, V value) {
    map.put(key, value);
  }
}
