@NullMarked
package dev.lorikeet.host.telemetry;

import org.jspecify.annotations.NullMarked;
