@NullMarked
package dev.lorikeet.jlama.telemetry;

import org.jspecify.annotations.NullMarked;
