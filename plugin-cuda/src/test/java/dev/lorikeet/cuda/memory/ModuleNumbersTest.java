package dev.lorikeet.cuda.memory;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import org.junit.jupiter.api.Test;

class ModuleNumbersTest {
  private final ModuleNumbers numbers = new ModuleNumbers();

  @Test
  void modulesOfALayerAreNumberedTogetherInTheOrderOfTheirUse() {
    assertEquals(2, numbers.of(TargetModule.of(5, Projection.V)));
    assertEquals(7, numbers.count());
    assertEquals(0, numbers.of(TargetModule.of(5, Projection.Q)));
    assertEquals(6, numbers.of(TargetModule.of(5, Projection.DOWN)));
    assertEquals(7, numbers.count());
  }

  @Test
  void numbersHaveNoGapsAndStay() {
    assertEquals(4, numbers.of(TargetModule.of(9, Projection.GATE)));
    assertEquals(7, numbers.of(TargetModule.ofExpert(9, Projection.GATE, 3)));
    assertEquals(10, numbers.of(TargetModule.output()));
    assertEquals(11, numbers.of(TargetModule.embedding()));
    assertEquals(12, numbers.of(TargetModule.of(0, Projection.Q)));
    assertEquals(19, numbers.count());
    assertEquals(9, numbers.of(TargetModule.ofExpert(9, Projection.DOWN, 3)));
    assertEquals(4, numbers.of(TargetModule.of(9, Projection.GATE)));
    assertEquals(10, numbers.of(TargetModule.output()));
    assertEquals(19, numbers.count());
  }
}
