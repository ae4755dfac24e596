package dev.lorikeet.cli;

import static com.tngtech.archunit.base.DescribedPredicate.describe;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.lang.ArchRule;
import com.tngtech.archunit.library.dependencies.SliceAssignment;
import com.tngtech.archunit.library.dependencies.SliceIdentifier;
import dev.lorikeet.LorikeetException;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/**
 * Which way modules may look: contracts at the bottom, above them the engine that knows no backend,
 * plugins on top and never on one another. The command line has all of them on its class path, so
 * the rules stand here.
 */
class ModuleRulesTest {
  private static final JavaClasses CLASSES =
      new ClassFileImporter()
          .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
          .importPackages("dev.lorikeet");

  /** A module, and those it may use; samples may use anything. */
  private static final Map<String, Set<String>> MAY_USE =
      new TreeMap<>(
          Map.of(
              "spi", Set.of(),
              "spi/cluster", Set.of("spi"),
              "spi/files", Set.of("spi"),
              "spi/text", Set.of("spi", "spi/files"),
              "spi/host", Set.of("spi", "spi/files", "spi/text"),
              "memory-arrow", Set.of("spi", "spi/files"),
              "spi/training", Set.of("spi", "spi/files", "spi/text", "spi/host", "spi/cluster"),
              "plugin-jlama",
                  Set.of("spi", "spi/files", "spi/text", "spi/host", "spi/training", "spi/cluster"),
              "plugin-cuda", Set.of("spi", "spi/files", "spi/text", "spi/host"),
              "conformance", Set.of("spi")));

  private static final Pattern MODULE =
      Pattern.compile(
          "/(spi/files|spi/text|spi/host|spi/cluster|spi/training|spi|memory-arrow|plugin-jlama|plugin-cuda|conformance|samples/[^/]+)/target/");

  /** Where each library may be used; the JDK and annotations may be used anywhere. */
  private static final Map<String, Set<String>> LIBRARIES =
      Map.of(
          "com.fasterxml.jackson",
              Set.of(
                  "spi/files",
                  "spi/text",
                  "spi/host",
                  "spi/training",
                  "memory-arrow",
                  "plugin-jlama", // what Jlama reads, it reads with Jackson
                  "conformance"),
          "ai.djl", Set.of("spi/text"),
          "org.yaml.snakeyaml", Set.of("spi/training"),
          "io.opentelemetry", Set.of("spi/host", "memory-arrow"),
          "org.apache.arrow", Set.of("memory-arrow"),
          "com.github.tjake", Set.of("plugin-jlama"),
          "org.junit", Set.of("conformance"),
          "jdk.incubator.vector", Set.of("spi/host", "plugin-jlama"));

  private static String moduleOf(JavaClass type) {
    Matcher found = MODULE.matcher(type.getSource().orElseThrow().getUri().toString());
    if (!found.find()) {
      throw new IllegalStateException(
          "which module is " + type.getSource().get().getUri() + " of?");
    }
    return found.group(1);
  }

  private static DescribedPredicate<JavaClass> inModule(String module) {
    return describe(
        "in module " + module,
        type -> type.getPackageName().startsWith("dev.lorikeet") && isIn(type, Set.of(module)));
  }

  private static boolean isIn(JavaClass type, Set<String> modules) {
    return type.getSource().isPresent() && modules.contains(moduleOf(type));
  }

  private static ArchRule looksOnlyAt(String module, Set<String> others) {
    return noClasses()
        .that(inModule(module))
        .should()
        .dependOnClassesThat(
            describe(
                "of a module other than " + new TreeSet<>(others),
                type ->
                    type.getPackageName().startsWith("dev.lorikeet")
                        && type.getSource().isPresent()
                        && !moduleOf(type).equals(module)
                        && !others.contains(moduleOf(type))));
  }

  @Test
  void everyModuleIsSeen() {
    Set<String> seen = new TreeSet<>();
    CLASSES.forEach(type -> seen.add(moduleOf(type)));
    seen.removeIf(module -> module.startsWith("samples/"));
    assertEquals(MAY_USE.keySet(), seen);
  }

  @Test
  void modulesLookDown() {
    MAY_USE.forEach((module, others) -> looksOnlyAt(module, others).check(CLASSES));
  }

  @Test
  void aModuleThatLooksElsewhereIsFound() {
    ArchRule withoutHost = looksOnlyAt("plugin-jlama", Set.of("spi", "spi/files"));
    assertThrows(AssertionError.class, () -> withoutHost.check(CLASSES));
  }

  /** Who only serves has neither module, on a module path that resolves what is asked for. */
  @Test
  void servingNeedsNoTraining() {
    noClasses()
        .that(inModule("plugin-jlama"))
        .and()
        .resideOutsideOfPackage("dev.lorikeet.jlama.training..")
        .should()
        .dependOnClassesThat(
            describe(
                "for training",
                type ->
                    type.getPackageName().startsWith("dev.lorikeet")
                        && isIn(type, Set.of("spi/training", "spi/cluster"))))
        .check(CLASSES);
  }

  @Test
  void librariesStayWhereTheyBelong() {
    LIBRARIES.forEach(
        (library, modules) ->
            noClasses()
                .that(
                    describe(
                        "in modules other than " + new TreeSet<>(modules),
                        type ->
                            type.getPackageName().startsWith("dev.lorikeet")
                                && !moduleOf(type).startsWith("samples/")
                                && !isIn(type, modules)))
                .should()
                .dependOnClassesThat(resideInAnyPackage(library + ".."))
                .check(CLASSES));
  }

  @Test
  void theContractsNeedTheJdkAlone() {
    noClasses()
        .that(inModule("spi"))
        .should()
        .dependOnClassesThat(
            describe(
                "neither the JDK's nor the contracts'",
                type ->
                    !type.getBaseComponentType().isPrimitive()
                        && !type.getBaseComponentType()
                            .getPackageName()
                            .matches("(java|org\\.jspecify|dev\\.lorikeet)(\\..*)?")))
        .check(CLASSES);
  }

  @Test
  void packagesFormNoCircle() {
    slices().assignedFrom(new ByPackage()).should().beFreeOfCycles().check(CLASSES);
  }

  /**
   * The one exception is below all packages, though applications find it beside what is above them.
   */
  private static final class ByPackage implements SliceAssignment {
    @Override
    public SliceIdentifier getIdentifierOf(JavaClass type) {
      if (type.getName().startsWith(LorikeetException.class.getName())) {
        return SliceIdentifier.of(LorikeetException.class.getName());
      }
      return type.getPackageName().startsWith("dev.lorikeet")
          ? SliceIdentifier.of(type.getPackageName())
          : SliceIdentifier.ignore();
    }

    @Override
    public String getDescription() {
      return "packages";
    }
  }
}
