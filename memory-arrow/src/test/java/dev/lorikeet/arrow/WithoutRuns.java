package dev.lorikeet.arrow;

import dev.lorikeet.memory.PagePool;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;

/** A pool that hands out single pages alone, as those of others may. */
final class WithoutRuns {
  private WithoutRuns() {}

  static PagePool of(PagePool pool) {
    return (PagePool)
        Proxy.newProxyInstance(
            PagePool.class.getClassLoader(),
            new Class<?>[] {PagePool.class},
            (self, method, arguments) -> {
              if (method.getName().equals("allocatesRuns")
                  || method.getName().equals("allocateRun")) {
                return false;
              }
              try {
                return method.invoke(pool, arguments);
              } catch (InvocationTargetException e) {
                throw e.getCause();
              }
            });
  }
}
