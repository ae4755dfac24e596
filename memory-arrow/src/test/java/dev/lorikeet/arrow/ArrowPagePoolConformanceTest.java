package dev.lorikeet.arrow;

import dev.lorikeet.conformance.PagePoolConformance;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PagePoolProvider;
import dev.lorikeet.memory.PoolConfig;
import java.util.Optional;

class ArrowPagePoolConformanceTest extends PagePoolConformance {
  @Override
  protected PagePool createPool(PoolConfig config) {
    return new ArrowPagePoolProvider().open(config);
  }

  @Override
  protected Optional<PagePoolProvider> provider() {
    return Optional.of(new ArrowPagePoolProvider());
  }
}
